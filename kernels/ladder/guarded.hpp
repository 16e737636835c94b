// Operands of checks: memory that ends at a page which nobody may touch, so that a rung that runs over its end is caught
// in the act and not by whoever owns what lies there. What lies before it, up to a page, is filled with a pattern: a rung that
// writes there is found out afterwards, by intact().
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <new>

#include "kernels/matrix.hpp"

namespace loglog::kernels::ladder {

template <class T>
class Guarded {
 public:
  explicit Guarded(Index count) : count_(count) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    body_ = (bytes + page) / page * page;
    void* memory = ::mmap(nullptr, body_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    first_ = static_cast<std::byte*>(memory);
    mapped_ = body_ + page;
    ::mprotect(first_ + body_, page, PROT_NONE);
    data_ = reinterpret_cast<T*>(first_ + body_ - bytes);
    std::fill(first_, before(), kPattern);
  }
  ~Guarded() { ::munmap(first_, mapped_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  T* data() const { return data_; }
  Index size() const { return count_; }
  T& operator[](Index i) const { return data_[i]; }

  template <class Value>
  Guarded& fill(Value&& value) {
    for (Index i = 0; i < count_; ++i) data_[i] = static_cast<T>(value(i));
    return *this;
  }
  bool intact() const {
    return std::all_of(first_, before(), [](std::byte b) { return b == kPattern; });
  }
  void protect() { ::mprotect(first_, body_, PROT_READ); }  // inputs are never written

 private:
  static constexpr std::byte kPattern{0xa5};
  std::byte* before() const { return reinterpret_cast<std::byte*>(data_); }

  Index count_;
  std::byte* first_;
  std::size_t body_, mapped_;
  T* data_;
};

}  // namespace loglog::kernels::ladder
