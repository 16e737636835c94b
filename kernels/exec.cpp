#include "kernels/exec.hpp"

#include <cstdint>

#include "base/check.hpp"

namespace loglog::kernels {
namespace {

constexpr std::size_t kMostBytes = PTRDIFF_MAX;

}  // namespace

Scratch::Scratch(std::size_t bytes) {
  reserve(bytes);
}

void Scratch::reserve(std::size_t bytes) {
  LOGLOG_CHECK(used_ == 0, "{} bytes are in use", used_);
  if (bytes <= capacity_) return;
  LOGLOG_CHECK(bytes <= kMostBytes, "{} bytes wanted, an object has {} at most", bytes, kMostBytes);
  bytes = round_up_to_cache_line(bytes);
  block_ = {};  // the contents are temporary: never hold the old and the new block at once
  capacity_ = 0;
  block_ = Block(bytes);
  capacity_ = bytes;
}

ScratchFrame::ScratchFrame(Scratch& scratch) noexcept : scratch_(scratch), mark_(scratch.used_) {}

ScratchFrame::~ScratchFrame() {
  scratch_.used_ = mark_;
}

void* ScratchFrame::take_elements(std::size_t count, std::size_t element_bytes) {
  const std::size_t first = scratch_.used_, left = scratch_.capacity_ - first;
  // A quotient, as the product may not fit into a size. Both ends are cache lines: what fits does so rounded up.
  LOGLOG_CHECK(count <= left / element_bytes, "{} times {} bytes wanted at {}, scratch has {}", count,
               element_bytes, first, scratch_.capacity_);
  scratch_.used_ = first + round_up_to_cache_line(count * element_bytes);
  return scratch_.block_.as<std::byte>() + first;
}

}  // namespace loglog::kernels
