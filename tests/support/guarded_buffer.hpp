// Memory that notices who touches what he should not: the last element ends at a page that nobody may read or
// write, everything before the first element and between rows holds a canary, and elements start as NaN.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <vector>

#include "kernels/bf16.hpp"
#include "kernels/matrix.hpp"

namespace loglog::testing {

using kernels::ConstMatrixRef;
using kernels::Index;
using kernels::MatrixRef;

// A quiet NaN with a payload of its own: a canary that poisons every sum it gets into.
inline constexpr std::uint32_t kCanary = 0x7fc0cafe;

// `bytes` bytes that end `slack` bytes before an inaccessible page. slack > 0 shifts the alignment.
class GuardedPages {
 public:
  explicit GuardedPages(std::size_t bytes, std::size_t slack = 0) {
    const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t body = (bytes + slack + page) / page * page;
    mapped_ = body + 2 * page;
    void* memory = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<std::byte*>(memory);
    ::mprotect(base_, page, PROT_NONE);
    ::mprotect(base_ + page + body, page, PROT_NONE);
    first_ = base_ + page;
    last_ = base_ + page + body;
    data_ = last_ - slack - bytes;
    bytes_ = bytes;
    for (std::byte* p = first_; p + sizeof kCanary <= last_; p += sizeof kCanary)
      std::memcpy(p, &kCanary, sizeof kCanary);
  }
  ~GuardedPages() { ::munmap(base_, mapped_); }
  GuardedPages(const GuardedPages&) = delete;
  GuardedPages& operator=(const GuardedPages&) = delete;

  std::byte* data() const { return data_; }

  // No byte outside the data was written.
  bool intact() const { return holds_canary(first_, data_) && holds_canary(data_ + bytes_, last_); }
  bool holds_canary(const std::byte* from, const std::byte* to) const {
    for (const std::byte* p = from; p < to; ++p)
      if (*p != reinterpret_cast<const std::byte*>(&kCanary)[(p - first_) % sizeof kCanary]) return false;
    return true;
  }

 private:
  std::byte* base_;
  std::byte* first_;
  std::byte* last_;
  std::byte* data_;
  std::size_t bytes_;
  std::size_t mapped_;
};

template <class T>
T from_double(double value) {
  return static_cast<T>(value);
}
template <>
inline kernels::bf16 from_double(double value) {
  return kernels::to_bf16(static_cast<float>(value));
}
template <class T>
double to_double(T value) {
  return static_cast<double>(value);
}
inline double to_double(kernels::bf16 value) {
  return static_cast<double>(kernels::to_float(value));
}

// A matrix with `gap` canaries between rows, canaries everywhere until it is filled: NaN for floats.
template <class T>
class GuardedMatrixOf {
 public:
  GuardedMatrixOf(Index rows, Index cols, Index gap = 0, Index offset = 0)
      : rows_(rows), cols_(cols), stride_(cols + gap), pages_(span_of(rows, cols, gap), offset * sizeof(T)) {}

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  T* data() { return reinterpret_cast<T*>(pages_.data()); }
  const T* data() const { return reinterpret_cast<const T*>(pages_.data()); }
  T& operator()(Index i, Index j) { return data()[i * stride_ + j]; }
  T operator()(Index i, Index j) const { return data()[i * stride_ + j]; }
  kernels::Matrix<T> ref() { return {data(), rows_, cols_, stride_}; }
  kernels::ConstMatrix<T> ref() const { return {data(), rows_, cols_, stride_}; }

  // value(i, j) for every element.
  template <class Value>
  GuardedMatrixOf& fill(Value&& value) {
    for (Index i = 0; i < rows_; ++i)
      for (Index j = 0; j < cols_; ++j) (*this)(i, j) = from_double<T>(static_cast<double>(value(i, j)));
    return *this;
  }

  // The elements without the gaps, row by row.
  std::vector<T> values() const {
    std::vector<T> flat;
    flat.reserve(rows_ * cols_);
    for (Index i = 0; i < rows_; ++i)
      for (Index j = 0; j < cols_; ++j) flat.push_back((*this)(i, j));
    return flat;
  }

  // Neither the gaps nor the surroundings were written.
  bool intact() const {
    for (Index i = 0; i + 1 < rows_; ++i) {
      const auto* gap = reinterpret_cast<const std::byte*>(data() + i * stride_ + cols_);
      if (!pages_.holds_canary(gap, gap + (stride_ - cols_) * static_cast<Index>(sizeof(T)))) return false;
    }
    return pages_.intact();
  }

 private:
  // The last row has no gap: its end is the guard page.
  static std::size_t span_of(Index rows, Index cols, Index gap) {
    return rows == 0 ? 0 : static_cast<std::size_t>((rows - 1) * (cols + gap) + cols) * sizeof(T);
  }
  Index rows_, cols_, stride_;
  GuardedPages pages_;
};
using GuardedMatrix = GuardedMatrixOf<float>;

// n floats; a matrix of one row.
inline GuardedMatrix guarded_vector(Index n) {
  return GuardedMatrix(1, n);
}

}  // namespace loglog::testing
