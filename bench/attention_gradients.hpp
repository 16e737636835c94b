// Whether gradients of attention can be right: two sums that cost nothing beside the product, and that a fast wrong kernel misses.
#pragma once
#include <cmath>
#include <type_traits>

#include "kernels/bf16.hpp"
#include "kernels/matrix.hpp"

namespace loglog::bench {

struct InnerProduct {
  double sum = 0, absolute = 0;
};

template <class T>
InnerProduct inner_product(const kernels::Matrix<T>& a, const kernels::Matrix<T>& b) {
  const auto real = [](T x) {
    if constexpr (std::is_same_v<T, kernels::bf16>)
      return static_cast<double>(kernels::to_float(x));
    else
      return static_cast<double>(x);
  };
  InnerProduct result;
  for (kernels::Index r = 0; r < a.rows; ++r) {
    for (kernels::Index j = 0; j < a.cols; ++j) {
      const double term = real(a.row(r)[j]) * real(b.row(r)[j]);
      result.sum += term;
      result.absolute += std::abs(term);
    }
  }
  return result;
}

template <class T>
struct AttentionPass {
  kernels::Matrix<T> q, k, v, out, d_q, d_k, d_v, d_out;

  // out is linear in v: sum d_v v = sum d_out out. It depends on products of q and k alone: sum d_q q = sum d_k k. Terms have
  // random signs and so have their roundings, hence the tolerance, relative to the terms' magnitudes.
  bool gradients_agree() const {
    const double tolerance = std::is_same_v<T, kernels::bf16> ? 1e-4 : 1e-6;
    const auto same = [&](const InnerProduct& a, const InnerProduct& b) {
      return std::abs(a.sum - b.sum) <= tolerance * (a.absolute + b.absolute) && b.absolute > 0;
    };
    return same(inner_product(d_v, v), inner_product(d_out, out)) &&
           same(inner_product(d_q, q), inner_product(d_k, k));
  }
};

}  // namespace loglog::bench
