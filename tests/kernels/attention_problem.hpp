// Operands of attention for tests, with their reference and their bounds (docs/kernels.md).
#pragma once
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/attention.hpp"
#include "kernels/reference/attention.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/complex_step.hpp"
#include "support/isa.hpp"
#include "support/random_inputs.hpp"

namespace loglog::testing {

using kernels::AttentionMask;
using kernels::AttentionSequence;
using kernels::AttentionShape;
using kernels::bf16;
using kernels::reference::AttentionCase;

struct NamedMask {
  const char* name;
  AttentionMask mask;
};
inline constexpr NamedMask kMasks[] = {
    {"causal", AttentionMask::causal()},         {"full", AttentionMask::full()},
    {"prefix 5", AttentionMask::prefix_of(5)},   {"prefix 67", AttentionMask::prefix_of(67)},
    {"window 1", AttentionMask::window_of(1)},   {"window 5", AttentionMask::window_of(5)},
    {"window 70", AttentionMask::window_of(70)}, {"window 9, prefix 40", {9, 40}}};

// A shape that owns its sequences, if it has any.
struct Batch {
  AttentionShape shape;
  std::vector<AttentionSequence> sequences;
  AttentionSequence sequence(Index b) const {
    const Index t = shape.time;
    return sequences.empty() ? AttentionSequence{b * t, t, b * t, t} : sequences[b];
  }
};

// Lengths (queries, keys) of sequences, packed with `gap` rows that belong to nobody between them.
inline Batch packed(std::vector<std::pair<Index, Index>> lengths, AttentionShape shape, Index gap = 0) {
  Batch batch{shape, {}};
  Index query = 0, key = 0;
  for (const auto& [queries, keys] : lengths) {
    batch.sequences.push_back({query, queries, key, keys});
    query += queries + gap;
    key += keys + gap;
  }
  batch.shape.batch = static_cast<Index>(lengths.size());
  return batch;
}

// q, then k and v as column ranges of one matrix, with gaps between rows; gradients likewise.
template <class Q, class KV = Q>
struct AttentionProblem {
  using Query = Q;
  using Key = KV;
  Batch batch;
  Index kv_heads, q_width, kv_width, q_rows = 0, kv_rows = 0;
  GuardedMatrixOf<Q> q, out, d_out, d_q;
  GuardedMatrixOf<KV> kv, d_kv;
  GuardedMatrix lse;

  explicit AttentionProblem(const AttentionShape& s, double scale = 1.0)
      : AttentionProblem(Batch{s, {}}, scale) {}
  explicit AttentionProblem(const Batch& b, double scale = 1.0)
      : batch(b),
        kv_heads(b.shape.kv_heads == 0 ? b.shape.heads : b.shape.kv_heads),
        q_width(b.shape.heads * b.shape.head_size),
        kv_width(kv_heads * b.shape.head_size),
        q_rows(rows_of(b, false)),
        kv_rows(rows_of(b, true)),
        q(q_rows, q_width, 3),
        out(q_rows, q_width, 1),
        d_out(q_rows, q_width, 2),
        d_q(q_rows, q_width, 5),
        kv(kv_rows, 2 * kv_width, 3),
        d_kv(kv_rows, 2 * kv_width, 7),
        lse(guarded_vector(q_rows * b.shape.heads)) {
    fill_from(q, normal_values(q_rows * q_width, 1, scale));
    fill_from(kv, normal_values(kv_rows * 2 * kv_width, 2, scale));
    fill_from(d_out, normal_values(q_rows * q_width, 3));
  }

  AttentionShape shape() const {
    AttentionShape s = batch.shape;
    if (!batch.sequences.empty()) s.sequences = batch.sequences.data();
    return s;
  }
  void forward(int threads = 1) {
    kernels::Scratch scratch(kernels::attention_scratch_bytes(test_table(), threads, shape()));
    kernels::ExecContext ctx{test_table(), threads, scratch};
    kernels::attention_forward(ctx, out.ref(), lse.data(), q.ref(), kv.ref().columns(0, kv_width),
                               kv.ref().columns(kv_width, kv_width), shape());
  }
  void backward(int threads = 1) {
    kernels::Scratch scratch(kernels::attention_scratch_bytes(test_table(), threads, shape()));
    kernels::ExecContext ctx{test_table(), threads, scratch};
    kernels::attention_backward(ctx, d_q.ref(), d_kv.ref().columns(0, kv_width),
                                d_kv.ref().columns(kv_width, kv_width), d_out.ref(), q.ref(),
                                kv.ref().columns(0, kv_width), kv.ref().columns(kv_width, kv_width),
                                out.ref(), lse.data(), shape());
  }
  bool intact() const {
    return out.intact() && lse.intact() && d_q.intact() && d_kv.intact() && q.intact() && kv.intact();
  }

  AttentionCase reference_case(Index b) const {
    const AttentionSequence s = batch.sequence(b);
    return {s.queries, s.keys, batch.shape.head_size, batch.shape.heads, kv_heads, batch.shape.mask};
  }
  // Rows of sequence b: of something with the shape of q, of k (0) or v (1).
  template <class T>
  std::vector<double> query_rows(const GuardedMatrixOf<T>& x, Index b) const {
    return block(x, batch.sequence(b).query, batch.sequence(b).queries, 0, q_width);
  }
  std::vector<double> key_rows(const GuardedMatrixOf<KV>& x, Index b, Index which) const {
    return block(x, batch.sequence(b).key, batch.sequence(b).keys, which * kv_width, kv_width);
  }
  // q, k and v, or their gradients, one after the other.
  std::vector<double> all_of(const GuardedMatrixOf<Q>& queries, const GuardedMatrixOf<KV>& keys,
                             Index b) const {
    std::vector<double> x = query_rows(queries, b);
    for (const Index which : {0, 1})
      for (const double value : key_rows(keys, b, which)) x.push_back(value);
    return x;
  }
  // Of head h and query i.
  double lse_at(Index b, Index h, Index i) const {
    const AttentionSequence s = batch.sequence(b);
    return lse(0, s.query * batch.shape.heads + h * s.queries + i);
  }

 private:
  static Index rows_of(const Batch& b, bool keys) {
    if (b.sequences.empty()) return b.shape.batch * b.shape.time;
    Index rows = 0;
    for (const AttentionSequence& s : b.sequences)
      rows = std::max(rows, keys ? s.key + s.keys : s.query + s.queries);
    return rows;
  }
  template <class T>
  static void fill_from(GuardedMatrixOf<T>& x, const std::vector<double>& values) {
    x.fill([&](Index i, Index j) { return values[i * x.cols() + j]; });
  }
  template <class T>
  static std::vector<double> block(const GuardedMatrixOf<T>& x, Index row, Index rows, Index col,
                                   Index cols) {
    std::vector<double> values;
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < cols; ++j) values.push_back(to_double(x(row + i, col + j)));
    return values;
  }
};

template <class T>
Verdict compare_same(const GuardedMatrixOf<T>& actual, const GuardedMatrixOf<T>& expected) {
  return compare(actual.rows() * actual.cols(), [&](Index e) {
    const Index i = e / actual.cols(), j = e % actual.cols();
    return Element{to_double(actual(i, j)), to_double(expected(i, j))};
  });
}

// What rounding weights, or gradients of scores, to bfloat16 adds, relative to each: where all operands are bfloat16 and the
// table has its own product of them.
template <class Q, class KV>
double weight_rounding() {
  const bool rounds =
      sizeof(Q) == 2 && sizeof(KV) == 2 && test_table().gemm_bf16->packed_a != kernels::PackedA::widened;
  return rounds ? 0x1p-8 : 0.0;
}

// What a scale for each row of int8 adds: one rounding of keys and one of values, relative to each.
template <class KV>
constexpr double kScaleRounding = sizeof(KV) == 1 ? kUnitRoundoff : 0.0;

inline double largest(const std::vector<double>& x) {
  double m = 0;
  for (const double v : x)
    if (std::isfinite(v)) m = std::max(m, std::abs(v));
  return m;
}

// Operands of one sequence in float64 with the result of the reference.
struct AttentionTruth {
  AttentionCase shape;
  std::vector<double> q, k, v, out, lse;

  template <class Problem>
  AttentionTruth(const Problem& p, Index b)
      : shape(p.reference_case(b)),
        q(p.query_rows(p.q, b)),
        k(p.key_rows(p.kv, b, 0)),
        v(p.key_rows(p.kv, b, 1)),
        out(q.size()),
        lse(static_cast<std::size_t>(shape.queries * shape.heads)) {
    kernels::reference::attention_ref(out.data(), lse.data(), q.data(), k.data(), v.data(), shape);
  }

  // The header's A of one query: the largest sum of |q||k| / sqrt(D) over its keys; and how many it sees.
  std::pair<double, double> largest_score(Index t, Index h) const {
    double a = 0, keys = 0;
    for (Index s = 0; s < shape.keys; ++s) {
      if (!shape.sees(t, s)) continue;
      double sum = 0;
      for (Index d = 0; d < shape.head_size; ++d)
        sum += std::abs(q[shape.q_at(t, h) + d] * k[shape.k_at(s, h) + d]);
      a = std::max(a, sum / std::sqrt(double(shape.head_size)));
      ++keys;
    }
    return {a, keys};
  }
  // E of the header, where keys have `key_rounding` besides.
  double weight_error(Index t, Index h, double key_rounding = 0.0) const {
    const auto [a, keys] = largest_score(t, h);
    return (keys * 33 / 32 + (double(shape.head_size) + 16 + keys / 128) * a + 21) * kUnitRoundoff +
           key_rounding * a;
  }
};

// What storing as T adds to a bound: one rounding to nearest.
template <class T>
double stored_bound(double exact, double bound) {
  if constexpr (sizeof(T) == sizeof(float)) return bound;
  return bound + 0x1p-8 * (std::abs(exact) + bound) + 0x1p-134;
}

template <class Problem>
void check_forward(Problem& p) {
  using Q = typename Problem::Query;
  using KV = typename Problem::Key;
  p.forward();
  REQUIRE(p.intact());
  for (Index b = 0; b < p.batch.shape.batch; ++b) {
    const AttentionTruth truth(p, b);
    const AttentionCase& c = truth.shape;
    if (c.queries == 0) continue;
    const double largest_v = largest(truth.v);
    std::vector<double> error(static_cast<std::size_t>(c.queries * c.heads));
    for (Index t = 0; t < c.queries; ++t)
      for (Index h = 0; h < c.heads; ++h)
        error[t * c.heads + h] = truth.weight_error(t, h, kScaleRounding<KV>);
    const auto actual = p.query_rows(p.out, b);
    REQUIRE(compare(Index(actual.size()), [&](Index i) {
      return Element{actual[i], truth.out[i],
                     stored_bound<Q>(truth.out[i], (2 * error[i / c.head_size] + weight_rounding<Q, KV>() +
                                                    kScaleRounding<KV>)*largest_v)};
    }));
    REQUIRE(compare(c.queries * c.heads, [&](Index i) {
      const Index t = i / c.heads, h = i % c.heads;
      const double exact = truth.lse[h * c.queries + t];
      return Element{p.lse_at(b, h, t), exact,
                     std::isinf(exact) ? 0.0 : error[i] + 2 * kUnitRoundoff * std::abs(exact)};
    }));
  }
}

}  // namespace loglog::testing
