// Attention of one ISA against plain loops in float64, its gradients against theirs, those against complex steps,
// and the promises of its header: no bit from the batch, the threads or the future.
#include "kernels/attention.hpp"

#include <cmath>
#include <vector>

#include "base/check.hpp"
#include "kernels/reference/attention.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/complex_step.hpp"
#include "support/isa.hpp"
#include "support/random_inputs.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

namespace {

// q, k, v are column ranges of one matrix and their gradients of another, with gaps between rows.
struct Problem {
  AttentionShape shape;
  Index width = shape.heads * shape.head_size, rows = shape.batch * shape.time;
  GuardedMatrix qkv{rows, 3 * width, 3}, d_qkv{rows, 3 * width, 5}, out{rows, width, 1},
      d_out{rows, width, 2};
  GuardedMatrix lse = guarded_vector(rows * shape.heads);

  explicit Problem(const AttentionShape& s, double scale = 1.0) : shape(s) {
    fill_normal(qkv, 1, scale);
    fill_normal(d_out, 2);
  }
  void forward(int threads = 1) {
    Scratch scratch(attention_scratch_bytes(test_table(), threads, shape));
    ExecContext ctx{test_table(), threads, scratch};
    attention_forward(ctx, out.ref(), lse.data(), part(0), part(1), part(2), shape);
  }
  void backward(int threads = 1) {
    Scratch scratch(attention_scratch_bytes(test_table(), threads, shape));
    ExecContext ctx{test_table(), threads, scratch};
    const MatrixRef d = d_qkv.ref();
    attention_backward(ctx, d.columns(0, width), d.columns(width, width), d.columns(2 * width, width),
                       d_out.ref(), part(0), part(1), part(2), out.ref(), lse.data(), shape);
  }
  ConstMatrixRef part(Index which) { return qkv.ref().columns(which * width, width); }

  // Operand `which` (0 q, 1 k, 2 v) of one head, (T, D).
  std::vector<double> head(const GuardedMatrix& x, Index which, Index b, Index h) const {
    std::vector<double> values;
    for (Index t = 0; t < shape.time; ++t) {
      for (Index d = 0; d < shape.head_size; ++d) {
        values.push_back(x(b * shape.time + t, which * width + h * shape.head_size + d));
      }
    }
    return values;
  }
};

double largest(const std::vector<double>& x) {
  double m = 0;
  for (const double v : x) m = std::max(m, std::abs(v));
  return m;
}

// The header's A: the largest sum of |q||k| / sqrt(D) over the keys of each query, and over all queries.
double largest_absolute_score(const std::vector<double>& q, const std::vector<double>& k, Index time,
                              Index size) {
  double a = 0;
  for (Index t = 0; t < time; ++t) {
    for (Index s = 0; s <= t; ++s) {
      double sum = 0;
      for (Index d = 0; d < size; ++d) sum += std::abs(q[t * size + d] * k[s * size + d]);
      a = std::max(a, sum / std::sqrt(double(size)));
    }
  }
  return a;
}

// E of the header.
double weight_error(const AttentionShape& s, double a) {
  const double time = double(s.time), size = double(s.head_size);
  return (time * 33 / 32 + (size + 6 + time / 128) * a + 16) * kUnitRoundoff;
}

void check_forward(const AttentionShape& shape, double scale) {
  CAPTURE(shape.batch, shape.time, shape.heads, shape.head_size, scale);
  Problem p(shape, scale);
  p.forward();
  REQUIRE(p.out.intact());
  REQUIRE(p.lse.intact());
  const Index time = shape.time, size = shape.head_size;
  for (Index b = 0; b < shape.batch; ++b) {
    for (Index h = 0; h < shape.heads; ++h) {
      const auto q = p.head(p.qkv, 0, b, h), k = p.head(p.qkv, 1, b, h), v = p.head(p.qkv, 2, b, h);
      const auto actual = p.head(p.out, 0, b, h);
      std::vector<double> expected(time * size), lse(time);
      reference::attention_ref(expected.data(), lse.data(), q.data(), k.data(), v.data(), time, size);
      const double a = largest_absolute_score(q, k, time, size);
      const double largest_v = largest(v), relative = weight_error(shape, a);
      REQUIRE(compare(time * size, [&](Index i) {
        return Element{actual[i], expected[i], 2 * relative * largest_v};
      }));
      REQUIRE(compare(time, [&](Index t) {
        const double got = p.lse(0, (b * shape.heads + h) * time + t);
        return Element{got, lse[t], relative + 2 * kUnitRoundoff * std::abs(lse[t])};
      }));
    }
  }
}

// Componentwise bound of d_q, d_k, d_v of a problem with one head (docs/kernels.md): P has the relative error
// e, dS then P e (|dO||V| + |dO||out| + 2 |dO|_1 max|v|), and sums over T of such terms follow.
std::vector<double> gradient_bound(const Problem& p) {
  const Index time = p.shape.time, size = p.shape.head_size, n = time * size;
  const auto q = p.head(p.qkv, 0, 0, 0), k = p.head(p.qkv, 1, 0, 0), v = p.head(p.qkv, 2, 0, 0);
  const auto d_out = p.head(p.d_out, 0, 0, 0);
  std::vector<double> out(n), lse(time), bound(3 * n);
  reference::attention_ref(out.data(), lse.data(), q.data(), k.data(), v.data(), time, size);
  const double largest_v = largest(v);
  const double a = largest_absolute_score(q, k, time, size), scale = 1 / std::sqrt(double(size));
  const double e = 2 * weight_error(p.shape, a) + (double(size) + 2 * largest(lse)) * kUnitRoundoff;
  for (Index t = 0; t < time; ++t) {
    for (Index s = 0; s <= t; ++s) {
      double score = 0, weight = 0;
      for (Index d = 0; d < size; ++d) {
        const double g = std::abs(d_out[t * size + d]);
        score += q[t * size + d] * k[s * size + d];
        weight += g * (std::abs(v[s * size + d]) + std::abs(out[t * size + d]) + 2 * largest_v);
      }
      // Below e^-87 a weight is 0, see exp_softmax.
      const double wrong = e * std::exp(score * scale - lse[t]) + 0x1p-125;
      for (Index d = 0; d < size; ++d) {
        bound[t * size + d] += wrong * weight * std::abs(k[s * size + d]) * scale;
        bound[n + s * size + d] += wrong * weight * std::abs(q[t * size + d]) * scale;
        bound[2 * n + s * size + d] += wrong * std::abs(d_out[t * size + d]);
      }
    }
  }
  return bound;
}

// q, k, v or their gradients of a problem with one head, one after the other.
std::vector<double> all_of(const Problem& p, const GuardedMatrix& x) {
  std::vector<double> values;
  for (Index which = 0; which < 3; ++which) {
    for (const double v : p.head(x, which, 0, 0)) values.push_back(v);
  }
  return values;
}

std::vector<double> reference_gradient(const Problem& p) {
  const Index n = p.shape.time * p.shape.head_size;
  const auto x = all_of(p, p.qkv), d_out = p.head(p.d_out, 0, 0, 0);
  std::vector<double> d(3 * n);
  reference::attention_backward_ref(d.data(), d.data() + n, d.data() + 2 * n, d_out.data(), x.data(),
                                    x.data() + n, x.data() + 2 * n, p.shape.time, p.shape.head_size);
  return d;
}

// sum(d_out * out) as a function of q, k and v.
auto loss_of(const Problem& p) {
  return [shape = p.shape, d_out = p.head(p.d_out, 0, 0, 0)](std::span<const Complex> z) {
    const Index n = shape.time * shape.head_size;
    std::vector<Complex> out(n), lse(shape.time);
    reference::attention_ref(out.data(), lse.data(), z.data(), z.data() + n, z.data() + 2 * n, shape.time,
                             shape.head_size);
    Complex sum = 0;
    for (Index i = 0; i < n; ++i) sum += out[i] * d_out[i];
    return sum;
  };
}

}  // namespace

TEST_CASE("forward is within its bound for odd and even shapes") {
  for (const Index time : {2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 129, 257, 300}) {
    for (const Index size : {8, 16, 20, 33}) check_forward({1, time, 2, size}, 1.0);
  }
  check_forward({3, 40, 3, 64}, 1.0);
  check_forward({1, 600, 1, 128}, 1.0);
  check_forward({2, 40, 2, 16}, 4.0);
}

TEST_CASE("equal scores give the running mean, exactly where the mean is exact") {
  Problem p({1, 64, 1, 16});
  fill_integer(p.qkv, 3);
  for (Index t = 0; t < 64; ++t)
    for (Index d = 0; d < 16; ++d) p.qkv(t, d) = 0.0f;
  p.forward();
  std::vector<double> sum(16);
  for (Index t = 0; t < 64; ++t) {
    for (Index d = 0; d < 16; ++d) {
      sum[d] += p.qkv(t, 32 + d);
      if (((t + 1) & t) == 0) REQUIRE(p.out(t, d) == sum[d] / double(t + 1));
    }
  }
}

TEST_CASE("nothing from the future gets in, not even NaN") {
  const AttentionShape shape{1, 70, 2, 16};
  for (const Index cut : {1, 5, 16, 33, 64, 69}) {
    CAPTURE(cut);
    Problem clean(shape), dirty(shape);
    for (Index t = cut; t < shape.time; ++t)
      for (Index j = 0; j < dirty.qkv.cols(); ++j) dirty.qkv(t, j) = std::nanf("");
    clean.forward();
    dirty.forward();
    for (Index t = 0; t < cut; ++t)
      for (Index j = 0; j < clean.width; ++j) REQUIRE(dirty.out(t, j) == clean.out(t, j));
    REQUIRE(std::isnan(dirty.out(cut, 0)));
  }
}

TEST_CASE("bits depend neither on threads nor on the batch") {
  const AttentionShape shape{3, 75, 2, 24};
  Problem one(shape), alone({1, 75, 2, 24});
  one.forward();
  one.backward();
  for (const int threads : {2, 3}) {
    Problem many(shape);
    many.forward(threads);
    many.backward(threads);
    REQUIRE(compare_equal(many.out.values(), one.out.values()));
    REQUIRE(compare_equal(many.lse.values(), one.lse.values()));
    REQUIRE(compare_equal(many.d_qkv.values(), one.d_qkv.values()));
  }
  for (Index t = 0; t < 75; ++t) {
    for (Index j = 0; j < alone.qkv.cols(); ++j) alone.qkv(t, j) = one.qkv(150 + t, j);
    for (Index j = 0; j < alone.width; ++j) alone.d_out(t, j) = one.d_out(150 + t, j);
  }
  alone.forward();
  alone.backward();
  for (Index t = 0; t < 75; ++t) {
    for (Index j = 0; j < alone.width; ++j) REQUIRE(alone.out(t, j) == one.out(150 + t, j));
    for (Index j = 0; j < 3 * alone.width; ++j) REQUIRE(alone.d_qkv(t, j) == one.d_qkv(150 + t, j));
  }
}

TEST_CASE("the reference's gradients are complex steps through its forward") {
  for (const auto& [time, size] : {std::pair<Index, Index>{1, 4}, {12, 8}, {20, 40}, {9, 64}}) {
    CAPTURE(time, size);
    Problem p({1, time, 1, size});
    const auto expected = gradient(loss_of(p), all_of(p, p.qkv));
    const auto actual = reference_gradient(p), bound = gradient_bound(p);
    // The bound counts one rounding of float32 per operation. Here they are of float64, one per operation of the
    // reference and at most four per complex one (a quotient).
    REQUIRE(compare(3 * time * size, [&](Index i) {
      return Element{actual[i], expected[i], 5 * 0x1p-53 / kUnitRoundoff * bound[i]};
    }));
  }
}

TEST_CASE("gradients are within their bound of the reference's, element by element") {
  struct Case {
    Index time, size;
    double scale;
  };
  // 32 columns are one panel on avx512: from D = 40 on every product has a second. T = 70, 150: a second key block.
  for (const Case c :
       {Case{1, 4, 1}, Case{5, 3, 1}, Case{12, 8, 1}, Case{19, 8, 2}, Case{9, 16, 1}, Case{150, 16, 1},
        Case{70, 40, 1}, Case{70, 40, 2}, Case{35, 64, 1}, Case{70, 64, 2}, Case{70, 128, 1}}) {
    CAPTURE(c.time, c.size, c.scale);
    Problem p({1, c.time, 1, c.size}, c.scale);
    p.forward();
    p.backward();
    REQUIRE(p.d_qkv.intact());
    const auto actual = all_of(p, p.d_qkv), expected = reference_gradient(p), bound = gradient_bound(p);
    const Index n = 3 * c.time * c.size;
    REQUIRE(compare(n, [&](Index i) { return Element{actual[i], expected[i], bound[i]}; }));
    // Along the gradient itself nothing cancels: the slope of the loss is its squared length.
    double squares = 0, squares_bound = 0;
    for (Index i = 0; i < n; ++i) {
      squares += actual[i] * actual[i];
      squares_bound += bound[i] * std::abs(actual[i]);
    }
    const double slope = directional_derivative(loss_of(p), all_of(p, p.qkv), actual);
    REQUIRE(compare(1, [&](Index) { return Element{squares, slope, squares_bound}; }));
  }
}

// Queries that point at one key each: the other scores lie so far below that their weights are 0, the one weight is
// 1, and nothing is left to round, however large the numbers are.
TEST_CASE("inputs scaled by up to 512: where one key has all the weight, all gradients are exact") {
  for (const double scale : {32.0, 512.0}) {
    for (const auto& [time, size] : {std::pair<Index, Index>{70, 40}, {300, 64}}) {
      CAPTURE(scale, time, size);
      Problem p({1, time, 1, size});
      const Rng rng(5, 5);
      fill_integer(p.qkv, 3);
      fill_integer(p.d_out, 4);
      std::vector<Index> chosen;
      for (Index t = 0; t < time; ++t) {
        chosen.push_back(static_cast<Index>(rng.below(t, t + 1)));
        for (Index d = 0; d < size; ++d) {
          p.qkv(t, size + d) = static_cast<float>(rng.below(1000 + t * size + d, 2) == 0 ? -scale : scale);
          p.qkv(t, d) = p.qkv(chosen[t], size + d);
          p.qkv(t, 2 * size + d) *= static_cast<float>(scale);
          p.d_out(t, d) *= static_cast<float>(scale);
        }
      }
      p.forward();
      p.backward();
      std::vector<double> out(time * size), d_qkv(time * 3 * size);
      for (Index t = 0; t < time; ++t) {
        for (Index d = 0; d < size; ++d) {
          out[t * size + d] = p.qkv(chosen[t], 2 * size + d);
          d_qkv[(chosen[t] * 3 + 2) * size + d] += p.d_out(t, d);
        }
      }
      REQUIRE(compare_equal(p.out.values(), out));
      REQUIRE(compare_equal(p.d_qkv.values(), d_qkv));
    }
  }
}

// Scores depend on the product of q and k alone, and powers of two do not round: every bit is known from that of
// the unscaled problem.
TEST_CASE("operands scaled by powers of two scale the gradients, bit for bit") {
  struct Factors {
    double q, k, v, d_out;
  };
  for (const Index size : {40, 64}) {
    Problem plain({1, 70, 1, size});
    plain.forward();
    plain.backward();
    for (const Factors f : {Factors{512, 1.0 / 512, 1, 1}, Factors{1.0 / 512, 512, 1, 1},
                            Factors{1, 1, 512, 1}, Factors{1, 1, 1, 512}, Factors{32, 1.0 / 32, 512, 512}}) {
      CAPTURE(size, f.q, f.k, f.v, f.d_out);
      Problem p({1, 70, 1, size});
      const double factors[] = {f.q, f.k, f.v};
      p.qkv.fill([&](Index i, Index j) { return plain.qkv(i, j) * factors[j / size]; });
      p.d_out.fill([&](Index i, Index j) { return plain.d_out(i, j) * f.d_out; });
      p.forward();
      p.backward();
      const double gradients[] = {f.v * f.d_out / f.q, f.v * f.d_out / f.k, f.d_out};
      REQUIRE(compare(70 * 3 * size, [&](Index e) {
        const Index i = e / (3 * size), j = e % (3 * size);
        return Element{p.d_qkv(i, j), plain.d_qkv(i, j) * gradients[j / size]};
      }));
    }
  }
}

TEST_CASE("empty dimensions and wrong shapes") {
  for (const AttentionShape& shape : {AttentionShape{0, 4, 2, 8}, AttentionShape{2, 0, 2, 8},
                                      AttentionShape{2, 4, 0, 8}, AttentionShape{2, 4, 2, 0}}) {
    Problem p(shape);
    p.forward();
    p.backward();
  }
  Problem p({1, 4, 1, 8});
  Scratch scratch(attention_scratch_bytes(test_table(), 1, p.shape));
  ExecContext ctx{test_table(), 1, scratch};
  ctx.threads = 0;
  const MatrixRef d = p.d_qkv.ref();
  REQUIRE_THROWS_AS(
      attention_forward(ctx, p.out.ref(), p.lse.data(), p.part(0), p.part(1), p.part(2), p.shape),
      ContractError);
  REQUIRE_THROWS_AS(attention_backward(ctx, d.columns(0, 8), d.columns(8, 8), d.columns(16, 8), p.d_out.ref(),
                                       p.part(0), p.part(1), p.part(2), p.out.ref(), p.lse.data(), p.shape),
                    ContractError);
  ctx.threads = 1;
  const AttentionShape other{1, 5, 1, 8};
  REQUIRE_THROWS_AS(attention_forward(ctx, p.out.ref(), p.lse.data(), p.part(0), p.part(1), p.part(2), other),
                    ContractError);
}
