// Whether gradients of attention can be right: sums that cost nothing beside the product.
#pragma once
#include <cmath>
#include <type_traits>

#include "kernels/bf16.hpp"
#include "kernels/matrix.hpp"

namespace loglog::bench {

struct InnerProduct {
  double sum = 0, absolute = 0;
};

inline double real(float x) {
  return x;
}
inline double real(kernels::bf16 x) {
  return kernels::to_float(x);
}

template <class T>
InnerProduct column_sum(const kernels::Matrix<T>& x) {
  InnerProduct result;
  for (kernels::Index r = 0; r < x.rows; ++r) {
    result.sum += real(x.row(r)[0]);
    result.absolute += std::abs(real(x.row(r)[0]));
  }
  return result;
}

template <class T>
InnerProduct inner_product(const kernels::Matrix<T>& a, const kernels::Matrix<T>& b) {
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

  // Begin with NaN in all three gradients. out is linear in v: sum d_v v = sum d_out out. It depends on products of q and k
  // alone: sum d_q q = sum d_k k. And not on what is added to all keys: each column of d_k adds up to 0, which it would not
  // without delta. Terms have random signs and so have their roundings, hence the tolerances, relative to the terms' magnitudes.
  bool gradients_agree() const {
    const bool half = std::is_same_v<T, kernels::bf16>;
    const double tolerance = half ? 1e-4 : 1e-6;
    const auto same = [&](const InnerProduct& a, const InnerProduct& b) {
      return std::abs(a.sum - b.sum) <= tolerance * (a.absolute + b.absolute) && b.absolute > 0;
    };
    for (kernels::Index j = 0; j < d_k.cols; ++j) {
      const InnerProduct column = column_sum(d_k.columns(j, 1));
      if (!(std::abs(column.sum) <= (half ? 3e-3 : 1e-4) * column.absolute)) return false;
    }
    return same(inner_product(d_v, v), inner_product(d_out, out)) &&
           same(inner_product(d_q, q), inner_product(d_k, k));
  }
};

}  // namespace loglog::bench
