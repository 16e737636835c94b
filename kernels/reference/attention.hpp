// Causal attention of one head by plain loops, on any scalar (float, double, std::complex<double>): the truth
// that tests compare with and differentiate.
#pragma once
#include <cmath>
#include <complex>
#include <vector>

#include "kernels/reference/scalar.hpp"

namespace loglog::kernels::reference {

// q, k, v, out (T, D) row by row; lse (T).
template <class S>
void attention_ref(S* out, S* lse, const S* q, const S* k, const S* v, Index time, Index head_size) {
  using std::exp;
  using std::log;
  const S scale = S(1.0 / std::sqrt(static_cast<double>(head_size)));
  std::vector<S> score(static_cast<std::size_t>(time));
  for (Index t = 0; t < time; ++t) {
    double maximum = -std::numeric_limits<double>::infinity();
    for (Index s = 0; s <= t; ++s) {
      score[s] = S(0);
      for (Index d = 0; d < head_size; ++d) score[s] += q[t * head_size + d] * k[s * head_size + d];
      score[s] *= scale;
      maximum = std::max(maximum, real_part(score[s]));
    }
    S sum(0);
    for (Index s = 0; s <= t; ++s) sum += score[s] = exp(score[s] - S(maximum));
    lse[t] = S(maximum) + log(sum);
    for (Index d = 0; d < head_size; ++d) {
      S o(0);
      for (Index s = 0; s <= t; ++s) o += score[s] * v[s * head_size + d];
      out[t * head_size + d] = o / sum;
    }
  }
}

}  // namespace loglog::kernels::reference
