// The matrix product by three loops, on any scalar.
#pragma once
#include "kernels/reference/scalar.hpp"

namespace loglog::kernels::reference {

// c (M,N) = a (M,K) b (K,N), row by row.
template <class S>
void gemm_ref(S* c, const S* a, const S* b, Index m, Index n, Index k) {
  for (Index i = 0; i < m; ++i) {
    for (Index j = 0; j < n; ++j) {
      S sum(0);
      for (Index p = 0; p < k; ++p) sum += a[i * k + p] * b[p * n + j];
      c[i * n + j] = sum;
    }
  }
}

}  // namespace loglog::kernels::reference
