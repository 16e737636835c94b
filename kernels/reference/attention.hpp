// Attention of one sequence by plain loops, on any scalar (float, double, std::complex<double>): the truth that
// tests compare with and differentiate, and its gradients, which a test compares with that derivative.
#pragma once
#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <vector>

#include "kernels/attention_mask.hpp"
#include "kernels/reference/scalar.hpp"

namespace loglog::kernels::reference {

// q, out (queries, heads * D), head h in columns h*D ..; k, v (keys, kv_heads * D); lse (heads, queries).
struct AttentionCase {
  Index queries, keys, head_size;
  Index heads = 1, kv_heads = 1;
  AttentionMask mask{};

  // By the definition of the mask, pair by pair; the kernels have intervals.
  bool sees(Index query, Index key) const {
    const Index own = query + keys - queries;
    return (key <= own || key < mask.prefix) && key > own - mask.window;
  }
  Index q_at(Index query, Index head) const { return (query * heads + head) * head_size; }
  Index k_at(Index key, Index head) const { return (key * kv_heads + head * kv_heads / heads) * head_size; }
};

template <class S>
S attention_score(const AttentionCase& c, const S* q, const S* k, Index t, Index s, Index h) {
  S sum(0);
  for (Index d = 0; d < c.head_size; ++d) sum += q[c.q_at(t, h) + d] * k[c.k_at(s, h) + d];
  return sum * S(1.0 / std::sqrt(static_cast<double>(c.head_size)));
}

// A query that sees nothing has out 0 and lse -infinity.
template <class S>
void attention_ref(S* out, S* lse, const S* q, const S* k, const S* v, const AttentionCase& c) {
  using std::exp;
  using std::log;
  std::vector<S> weight(static_cast<std::size_t>(c.keys));
  for (Index h = 0; h < c.heads; ++h) {
    for (Index t = 0; t < c.queries; ++t) {
      double maximum = -std::numeric_limits<double>::infinity();
      for (Index s = 0; s < c.keys; ++s) {
        if (!c.sees(t, s)) continue;
        weight[s] = attention_score(c, q, k, t, s, h);
        maximum = std::max(maximum, real_part(weight[s]));
      }
      S sum(0);
      for (Index s = 0; s < c.keys; ++s)
        if (c.sees(t, s)) sum += weight[s] = exp(weight[s] - S(maximum));
      lse[h * c.queries + t] = std::isinf(maximum) ? S(maximum) : S(maximum) + log(sum);
      for (Index d = 0; d < c.head_size; ++d) {
        S o(0);
        for (Index s = 0; s < c.keys; ++s)
          if (c.sees(t, s)) o += weight[s] * v[c.k_at(s, h) + d];
        out[c.q_at(t, h) + d] = std::isinf(maximum) ? S(0) : o / sum;
      }
    }
  }
}

// Gradients of sum(d_out * out), overwritten: the formulas of attention.hpp, term by term.
template <class S>
void attention_backward_ref(S* d_q, S* d_k, S* d_v, const S* d_out, const S* q, const S* k, const S* v,
                            const AttentionCase& c) {
  using std::exp;
  const Index size = c.head_size, rows = c.queries * c.heads;
  const S scale = S(1.0 / std::sqrt(static_cast<double>(size)));
  std::vector<S> out(static_cast<std::size_t>(rows * size)), lse(static_cast<std::size_t>(rows));
  attention_ref(out.data(), lse.data(), q, k, v, c);
  std::fill_n(d_q, rows * size, S(0));
  std::fill_n(d_k, c.keys * c.kv_heads * size, S(0));
  std::fill_n(d_v, c.keys * c.kv_heads * size, S(0));
  const auto dot = [&](const S* a, const S* b) {
    S sum(0);
    for (Index d = 0; d < size; ++d) sum += a[d] * b[d];
    return sum;
  };
  for (Index t = 0; t < c.queries; ++t) {
    for (Index h = 0; h < c.heads; ++h) {
      const Index at_t = c.q_at(t, h);
      const S delta = dot(d_out + at_t, out.data() + at_t);
      for (Index s = 0; s < c.keys; ++s) {
        if (!c.sees(t, s)) continue;
        const Index at_s = c.k_at(s, h);
        const S p = exp(attention_score(c, q, k, t, s, h) - lse[h * c.queries + t]);
        const S d_score = p * (dot(d_out + at_t, v + at_s) - delta) * scale;
        for (Index d = 0; d < size; ++d) {
          d_q[at_t + d] += d_score * k[at_s + d];
          d_k[at_s + d] += d_score * q[at_t + d];
          d_v[at_s + d] += p * d_out[at_t + d];
        }
      }
    }
  }
}

}  // namespace loglog::kernels::reference
