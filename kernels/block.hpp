// One block of memory for matrices. It begins at a cache line; a large one lies on huge pages where the system gives them
// (Linux), so that walking through it seldom waits for a translation of addresses.
//
// Errors     std::bad_alloc.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace loglog::kernels {

inline constexpr std::size_t kCacheLineBytes = 64;

constexpr std::size_t round_up_to_cache_line(std::size_t bytes) noexcept {
  return (bytes + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
}

enum class PageSize : bool { usual, huge };  // of large blocks

class Block {
 public:
  Block() = default;
  explicit Block(std::size_t bytes);  // contents undefined, nothing touched
  // Of a large one, only pages that are used take memory: usual ones where little is written in many places.
  static Block of_zeros(std::size_t bytes, PageSize pages = PageSize::huge);

  template <class T>
  T* as() const noexcept {
    return reinterpret_cast<T*>(data_.get());
  }

 private:
  struct Free {
    std::align_val_t boundary;
    void* allocation;  // by std::calloc, the block within it; null: the block is one of operator new
    Free() noexcept : Free(kCacheLineBytes) {}
    explicit Free(std::size_t bytes, void* calloced = nullptr) noexcept
        : boundary(std::align_val_t{bytes}), allocation(calloced) {}
    void operator()(std::byte* p) const noexcept {
      allocation != nullptr ? std::free(allocation) : ::operator delete[](p, boundary);
    }
  };
  std::unique_ptr<std::byte[], Free> data_;
};

}  // namespace loglog::kernels
