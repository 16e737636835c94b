#include "kernels/block.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace loglog::kernels {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Advice alone: without huge pages, or without any left, the block has pages of the usual size. The other advice is for systems
// that give huge pages unasked. p is on a boundary of huge pages.
void ask_for([[maybe_unused]] PageSize pages, [[maybe_unused]] void* p,
             [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(MADV_HUGEPAGE)
  madvise(p, bytes / kHugePage * kHugePage,  // no more than belongs to the block
          pages == PageSize::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
#endif
}

std::size_t boundary_of(std::size_t bytes) {
  return bytes >= 2 * kHugePage ? kHugePage : kCacheLineBytes;
}

}  // namespace

Block::Block(std::size_t bytes) {
  const Free free(boundary_of(bytes));
  data_ = {static_cast<std::byte*>(::operator new[](bytes, free.boundary)), free};
  if (boundary_of(bytes) == kHugePage) ask_for(PageSize::huge, data_.get(), bytes);
}

// What the system has just given is zero: calloc knows, where anything else would have to write.
Block Block::of_zeros(std::size_t bytes, PageSize pages) {
  std::size_t boundary = boundary_of(bytes), room = bytes + boundary;
  if (room < bytes) throw std::bad_alloc();
  void* const allocation = std::calloc(room, 1);
  if (allocation == nullptr) throw std::bad_alloc();
  void* place = allocation;
  std::align(boundary, bytes, place, room);
  Block block;
  block.data_ = {static_cast<std::byte*>(place), Free(boundary, allocation)};
  if (boundary == kHugePage) ask_for(pages, place, bytes);
  return block;
}

}  // namespace loglog::kernels
