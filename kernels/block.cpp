#include "kernels/block.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace loglog::kernels {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Advice alone: without huge pages, or without any left, the block has pages of the usual size.
void ask_for_huge_pages([[maybe_unused]] void* p, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(MADV_HUGEPAGE)
  madvise(p, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // no more than belongs to the block
#endif
}

}  // namespace

Block::Block(std::size_t bytes) {
  const bool is_large = bytes >= 2 * kHugePage;
  const Free free(is_large ? kHugePage : kCacheLineBytes);
  data_ = {static_cast<std::byte*>(::operator new[](bytes, free.boundary)), free};
  if (is_large) ask_for_huge_pages(data_.get(), bytes);
}

}  // namespace loglog::kernels
