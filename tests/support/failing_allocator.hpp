// Makes allocations fail. Include it in one source file of a test program only: it replaces operator new of the whole
// program. Clang's thread sanitizer brings one that no program can replace: cases that use this one have the tag
// [allocator], and are left out there.
#pragma once
#include <cstdlib>
#include <functional>
#include <new>

namespace loglog {

inline long allocations_left = -1;                 // before they fail; -1: never
inline bool (*allocation_is_refused)() = nullptr;  // a test's own rule, asked by every thread

inline bool next_allocation_fails() {
  if (allocation_is_refused != nullptr && allocation_is_refused()) return true;
  if (allocations_left == 0) return true;
  if (allocations_left > 0) --allocations_left;
  return false;
}

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

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LOGLOG_SANITIZER_HAS_OPERATOR_NEW
#endif
#endif
#if !defined(LOGLOG_SANITIZER_HAS_OPERATOR_NEW)
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (loglog::next_allocation_fails()) throw std::bad_alloc();
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
// std::stable_sort takes its buffer from this one, and gives it back to the same delete.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return loglog::next_allocation_fails() ? nullptr : std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
#endif
