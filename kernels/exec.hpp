// What a driver runs with: the chosen kernels, the number of threads and temporary memory. Nothing else is ambient.
#pragma once
#include <cstddef>

#include "kernels/block.hpp"

namespace loglog::kernels {

struct KernelTable;
struct Profile;

// One block of temporary memory with a bump pointer. Drivers take frames from it and give them back in
// reverse order; the owner sizes it once from the *_scratch_bytes functions. Not thread-safe: a driver takes
// what all its threads need.
//
// Errors     ContractError if more bytes are asked for than an object can have, or while a frame is open; std::bad_alloc.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes = 0);
  void reserve(std::size_t bytes);  // grows to at least `bytes`; only when no frame is open
  std::size_t capacity() const noexcept { return capacity_; }

 private:
  friend class ScratchFrame;
  Block block_;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
};

// Memory for the lifetime of this object; 64-byte aligned, contents undefined. ContractError when the block
// is too small, whatever `count` is.
class ScratchFrame {
 public:
  explicit ScratchFrame(Scratch& scratch) noexcept;
  ~ScratchFrame();
  ScratchFrame(const ScratchFrame&) = delete;
  ScratchFrame& operator=(const ScratchFrame&) = delete;

  template <class T>
  T* take(std::size_t count) {
    return static_cast<T*>(take_elements(count, sizeof(T)));
  }

 private:
  void* take_elements(std::size_t count, std::size_t element_bytes);
  Scratch& scratch_;
  std::size_t mark_;
};

struct ExecContext {
  const KernelTable& kernels;
  int threads;  // 1 never enters the OpenMP runtime
  Scratch& scratch;
  Profile* profile = nullptr;  // where drivers add the time they take (profile.hpp); null: nowhere
};

}  // namespace loglog::kernels
