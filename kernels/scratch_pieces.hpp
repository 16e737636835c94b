// Pieces of one thread's scratch, for drivers and leaves.
#pragma once
#include "kernels/matrix.hpp"

namespace loglog::kernels {

// Takes pieces one behind the other, each a whole number of cache lines; of no scratch, to learn how much there is to take.
// Nothing is checked: who measures and who takes are the same function.
class ScratchPieces {
 public:
  [[gnu::always_inline]] explicit ScratchPieces(float* scratch) : scratch_(scratch) {}
  template <class T>
  [[gnu::always_inline]] T* take(Index count) {
    const Index at = floats_;
    constexpr Index kCacheLine = 64, kBytes = static_cast<Index>(sizeof(T));
    floats_ += round_up(count * kBytes, kCacheLine) / static_cast<Index>(sizeof(float));
    return scratch_ == nullptr ? nullptr : reinterpret_cast<T*>(scratch_ + at);
  }
  [[gnu::always_inline]] Index floats() const { return floats_; }

 private:
  float* scratch_;
  Index floats_ = 0;
};

}  // namespace loglog::kernels
