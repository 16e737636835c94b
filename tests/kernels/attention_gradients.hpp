// Gradients of attention for tests: the reference's, their bound (docs/kernels.md), and the loss that they derive.
#pragma once
#include "kernels/attention_problem.hpp"

namespace loglog::testing {

// Of sequence b: d_q, d_k, d_v one after the other, as AttentionProblem::all_of.
template <class Problem>
std::vector<double> reference_gradient(const Problem& p, Index b) {
  const AttentionTruth x(p, b);
  const auto d_out = p.query_rows(p.d_out, b);
  std::vector<double> d(x.q.size() + 2 * x.k.size());
  double* const d_k = d.data() + x.q.size();
  kernels::reference::attention_backward_ref(d.data(), d_k, d_k + x.k.size(), d_out.data(), x.q.data(),
                                             x.k.data(), x.v.data(), x.shape);
  return d;
}

// Componentwise: P has the relative error e, dS then P e (|dO||V| + |dO||out| + 2 |dO|_1 max|v|), and sums over queries or
// keys of such terms follow. A stored out that is rounded to bfloat16 moves delta by 2^-8 |dO||out|. Where P and dS are rounded
// to bfloat16, 2^-8 of each is added.
template <class Q, class KV>
std::vector<double> gradient_bound(const AttentionProblem<Q, KV>& p, Index b) {
  const AttentionTruth x(p, b);
  const AttentionCase& c = x.shape;
  const auto d_out = p.query_rows(p.d_out, b);
  std::vector<double> bound(x.q.size() + 2 * x.k.size());
  double* const d_k = bound.data() + x.q.size();
  double* const d_v = d_k + x.k.size();
  const double largest_v = largest(x.v), scale = 1 / std::sqrt(double(c.head_size));
  const double rounding = weight_rounding<Q, KV>();
  const double stored = sizeof(Q) == sizeof(float) ? 0.0 : 0x1p-8;
  for (Index t = 0; t < c.queries; ++t) {
    for (Index h = 0; h < c.heads; ++h) {
      const double lse = x.lse[h * c.queries + t];
      if (std::isinf(lse)) continue;
      const double terms = double(c.queries) * double(c.heads) / double(c.kv_heads);  // of d_k and d_v
      const double e =
          2 * x.weight_error(t, h) + (double(c.head_size) + 3 * std::abs(lse) + terms) * kUnitRoundoff;
      for (Index s = 0; s < c.keys; ++s) {
        if (!c.sees(t, s)) continue;
        const Index at_t = c.q_at(t, h), at_s = c.k_at(s, h);
        double weight = 0, from_out = 0, from_weight = 0;
        for (Index d = 0; d < c.head_size; ++d) {
          const double g = std::abs(d_out[at_t + d]);
          weight += g * (std::abs(x.v[at_s + d]) + std::abs(x.out[at_t + d]) + 2 * largest_v);
          from_out += g * std::abs(x.out[at_t + d]);
          from_weight += g * (std::abs(x.v[at_s + d]) + std::abs(x.out[at_t + d]));
        }
        const double exact =
            std::exp(kernels::reference::attention_score(c, x.q.data(), x.k.data(), t, s, h) - lse);
        // Below 2^-126 a weight is 0, see exp2_softmax.
        const double wrong = e * exact + 0x1p-125;
        const double d_score =
            (wrong * weight + stored * exact * from_out + rounding * (exact + wrong) * from_weight) * scale;
        for (Index d = 0; d < c.head_size; ++d) {
          bound[at_t + d] += d_score * std::abs(x.k[at_s + d]);
          d_k[at_s + d] += d_score * std::abs(x.q[at_t + d]);
          d_v[at_s + d] += (wrong + rounding * (exact + wrong)) * std::abs(d_out[at_t + d]);
        }
      }
    }
  }
  return bound;
}

// sum(d_out * out) of sequence b as a function of q, k and v, one after the other.
template <class Problem>
auto loss_of(const Problem& p, Index b) {
  return [c = p.reference_case(b), d_out = p.query_rows(p.d_out, b)](std::span<const Complex> z) {
    const Complex* const k = z.data() + d_out.size();
    std::vector<Complex> out(d_out.size()), lse(static_cast<std::size_t>(c.queries * c.heads));
    kernels::reference::attention_ref(out.data(), lse.data(), z.data(), k,
                                      k + c.keys * c.kv_heads * c.head_size, c);
    Complex sum = 0;
    for (std::size_t i = 0; i < out.size(); ++i) sum += out[i] * d_out[i];
    return sum;
  };
}

// Forward, backward, and every gradient of every sequence against its bound.
template <class Q, class KV>
void check_gradients(AttentionProblem<Q, KV>& p) {
  p.forward();
  p.backward();
  REQUIRE(p.intact());
  for (Index b = 0; b < p.batch.shape.batch; ++b) {
    const auto actual = p.all_of(p.d_q, p.d_kv, b), expected = reference_gradient(p, b),
               bound = gradient_bound(p, b);
    if (actual.empty()) continue;
    const auto queries = Index(p.query_rows(p.d_q, b).size());
    REQUIRE(compare(Index(actual.size()), [&](Index i) {
      return Element{
          actual[i], expected[i],
          i < queries ? stored_bound<Q>(expected[i], bound[i]) : stored_bound<KV>(expected[i], bound[i])};
    }));
  }
}

}  // namespace loglog::testing
