// Causal attention of one head by plain loops, on any scalar (float, double, std::complex<double>): the truth
// that tests compare with and differentiate, and its gradients, which a test compares with that derivative.
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

// Gradients of sum(d_out * out), all (T, D), overwritten: the formulas of attention.hpp, term by term.
template <class S>
void attention_backward_ref(S* d_q, S* d_k, S* d_v, const S* d_out, const S* q, const S* k, const S* v,
                            Index time, Index head_size) {
  using std::exp;
  const S scale = S(1.0 / std::sqrt(static_cast<double>(head_size)));
  std::vector<S> out(static_cast<std::size_t>(time * head_size)), lse(static_cast<std::size_t>(time));
  attention_ref(out.data(), lse.data(), q, k, v, time, head_size);
  for (S* d : {d_q, d_k, d_v}) std::fill_n(d, time * head_size, S(0));
  const auto dot = [&](const S* a, const S* b) {
    S sum(0);
    for (Index d = 0; d < head_size; ++d) sum += a[d] * b[d];
    return sum;
  };
  for (Index t = 0; t < time; ++t) {
    const Index at_t = t * head_size;
    const S delta = dot(d_out + at_t, out.data() + at_t);
    for (Index s = 0; s <= t; ++s) {
      const Index at_s = s * head_size;
      const S p = exp(dot(q + at_t, k + at_s) * scale - lse[t]);
      const S d_score = p * (dot(d_out + at_t, v + at_s) - delta) * scale;
      for (Index d = 0; d < head_size; ++d) {
        d_q[at_t + d] += d_score * k[at_s + d];
        d_k[at_s + d] += d_score * q[at_t + d];
        d_v[at_s + d] += p * d_out[at_t + d];
      }
    }
  }
}

}  // namespace loglog::kernels::reference
