// Operands of products whose sums are exact in every type, so that results are compared without a bound.
#pragma once
#include "bench/shapes.hpp"
#include "kernels/bf16.hpp"
#include "kernels/exec.hpp"

namespace loglog::bench {

using kernels::ConstMatrix;

// Elements at a cache line, not touched.
template <class T>
class Buffer {
 public:
  explicit Buffer(Index count) : count_(count), block_(bytes()) {}
  T* data() const { return block_.as<T>(); }
  Index count() const { return count_; }
  std::size_t bytes() const { return static_cast<std::size_t>(count_) * sizeof(T); }

 private:
  Index count_;
  kernels::Block block_;
};

// -8 .. 7
inline int small_value(Index e) {
  return static_cast<int>(static_cast<std::uint32_t>(e) * 2654435761u >> 28) - 8;
}

template <class T>
T element(int value) {
  if constexpr (std::is_same_v<T, kernels::bf16>)
    return kernels::to_bf16(static_cast<float>(value));
  else
    return static_cast<T>(value);
}

// A product as the shape's layout stores it. Each sum has at most 2^15 terms of magnitude 120.
template <class T>
class Operands {
 public:
  explicit Operands(const GemmShape& shape) : shape_(shape), a_(shape.m * shape.k), b_(shape.k * shape.n) {
    for (Index e = 0; e < a_.count(); ++e) a_.data()[e] = element<T>(a_value(e));
    for (Index e = 0; e < b_.count(); ++e) b_.data()[e] = element<T>(small_value(e));
  }
  ConstMatrix<T> a() const {
    return shape_.layout == Layout::tn ? ConstMatrix<T>(a_.data(), shape_.k, shape_.m).transposed()
                                       : ConstMatrix<T>(a_.data(), shape_.m, shape_.k);
  }
  ConstMatrix<T> b() const {
    return shape_.layout == Layout::nt ? ConstMatrix<T>(b_.data(), shape_.n, shape_.k).transposed()
                                       : ConstMatrix<T>(b_.data(), shape_.k, shape_.n);
  }
  // A few elements of C against sums of integers: a fast wrong kernel has no rate.
  template <class Sum>
  bool is_product(const Sum* c) const {
    for (Index e = 0; e < 64; ++e) {
      const Index i = e * 7919 % shape_.m, j = e * 104729 % shape_.n;
      Index sum = 0;
      for (Index p = 0; p < shape_.k; ++p) {
        sum += a_value(i * a().row_stride + p * a().col_stride) *
               small_value(p * b().row_stride + j * b().col_stride);
      }
      if (c[i * shape_.n + j] != static_cast<Sum>(sum)) return false;
    }
    return true;
  }

 private:
  // Bytes that are the same signed and unsigned: a library's product of unsigned activations gives the same result.
  static int a_value(Index e) { return small_value(e) + (sizeof(T) == 1 ? 8 : 0); }

  GemmShape shape_;
  Buffer<T> a_, b_;
};

}  // namespace loglog::bench
