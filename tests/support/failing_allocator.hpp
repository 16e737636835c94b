// Makes the k-th allocation of a piece of code fail. Include it in one source file of a test program only: it
// replaces operator new of the whole program. Cases that use it have the tag [allocator].
#pragma once
#include <cstdlib>
#include <functional>
#include <new>

#include "support/operator_new.hpp"

namespace loglog {

inline long allocations_left = -1;  // -1: never fail

// Runs `work` with its first allocation failing, then its second, and so on until it passes. Every failure
// must come out as std::bad_alloc (anything else leaves this function or ends the program). Returns the
// number of failures.
inline int fail_each_allocation(const std::function<void()>& work) {
  for (int k = 0;; ++k) {
    allocations_left = k;
    try {
      work();
      allocations_left = -1;
      return k;
    } catch (const std::bad_alloc&) {
      allocations_left = -1;
    } catch (...) {
      allocations_left = -1;
      throw;
    }
  }
}

}  // namespace loglog

#if LOGLOG_OWN_OPERATOR_NEW
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (loglog::allocations_left == 0) throw std::bad_alloc();
  if (loglog::allocations_left > 0) --loglog::allocations_left;
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
// std::stable_sort takes its buffer from this one, and gives it back to the same delete.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (loglog::allocations_left == 0) return nullptr;
  if (loglog::allocations_left > 0) --loglog::allocations_left;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
#endif
