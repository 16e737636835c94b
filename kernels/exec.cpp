#include "kernels/exec.hpp"

#include "base/check.hpp"

namespace loglog::kernels {

Scratch::Scratch(std::size_t bytes) {
  reserve(bytes);
}

void Scratch::reserve(std::size_t bytes) {
  LOGLOG_CHECK(used_ == 0, "{} bytes are in use", used_);
  if (bytes <= capacity_) return;
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

void* ScratchFrame::take_bytes(std::size_t bytes) {
  const std::size_t first = scratch_.used_;
  const std::size_t end = first + round_up_to_cache_line(bytes);
  LOGLOG_CHECK(end <= scratch_.capacity_, "{} bytes wanted at {}, scratch has {}", bytes, first,
               scratch_.capacity_);
  scratch_.used_ = end;
  return scratch_.block_.as<std::byte>() + first;
}

}  // namespace loglog::kernels
