// Operands of the tests of matrix products, and the sums that they should give.
#pragma once
#include <cmath>

#include "support/guarded_buffer.hpp"

namespace loglog::testing {

// Deterministic values without a library: hash of the position.
inline std::uint32_t hash(Index i, Index j) {
  auto x = static_cast<std::uint32_t>(i * 40503 + j * 9973 + 17);
  x = (x ^ (x >> 15)) * 0x2c1b3c6du;
  return x ^ (x >> 12);
}
inline double integer_value(Index i, Index j) {
  return static_cast<double>(hash(i, j) % 9) - 4.0;
}
// Sum of three uniforms: near enough to normal, with zero mean.
inline double random_value(Index i, Index j) {
  double sum = 0.0;
  for (Index part = 0; part < 3; ++part)
    sum += static_cast<double>(hash(i + 1000 * part, j) % 65536) / 32768.0 - 1.0;
  return sum;
}

// A matrix with canaries between and around its rows, stored as it is or transposed.
template <class T>
struct Operand {
  bool transposed;
  GuardedMatrixOf<T> stored;
  template <class Value>
  Operand(Index rows, Index cols, bool t, Index gap, Index offset, Value&& value)
      : transposed(t), stored(t ? cols : rows, t ? rows : cols, gap, offset) {
    stored.fill([&](Index i, Index j) { return t ? value(j, i) : value(i, j); });
  }
  kernels::ConstMatrix<T> ref() const {
    const kernels::ConstMatrix<T> r = stored.ref();
    return transposed ? r.transposed() : r;
  }
  double operator()(Index i, Index j) const { return to_double(transposed ? stored(j, i) : stored(i, j)); }
};

struct Sum {
  double value = 0.0, absolute = 0.0;
};
template <class T>
Sum exact_sum(const Operand<T>& a, const Operand<T>& b, Index i, Index j) {
  Sum sum;
  for (Index p = 0; p < a.ref().cols; ++p) {
    const double product = a(i, p) * b(p, j);
    sum.value += product;
    sum.absolute += std::abs(product);
  }
  return sum;
}

}  // namespace loglog::testing
