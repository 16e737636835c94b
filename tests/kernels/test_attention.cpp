// Attention of one row against plain loops in float64, its gradients against complex steps through them, and
// the promises of its header: no bit from the batch, the threads or the future.
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
      const double probability = std::exp(score * scale - lse[t]);
      for (Index d = 0; d < size; ++d) {
        bound[t * size + d] += e * probability * weight * std::abs(k[s * size + d]) * scale;
        bound[n + s * size + d] += e * probability * weight * std::abs(q[t * size + d]) * scale;
        bound[2 * n + s * size + d] += e * probability * std::abs(d_out[t * size + d]);
      }
    }
  }
  return bound;
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

TEST_CASE("gradients agree with complex steps through the reference") {
  struct Case {
    Index time, size;
    double scale;
  };
  for (const Case c : {Case{1, 4, 1}, Case{5, 3, 1}, Case{12, 8, 1}, Case{19, 8, 2}, Case{9, 16, 1}}) {
    CAPTURE(c.time, c.size, c.scale);
    Problem p({1, c.time, 1, c.size}, c.scale);
    p.forward();
    p.backward();
    REQUIRE(p.d_qkv.intact());
    const Index n = c.time * c.size;
    std::vector<double> x, actual;
    for (Index which = 0; which < 3; ++which) {
      for (const double v : p.head(p.qkv, which, 0, 0)) x.push_back(v);
      for (const double v : p.head(p.d_qkv, which, 0, 0)) actual.push_back(v);
    }
    const auto d_out = p.head(p.d_out, 0, 0, 0);
    const auto loss = [&](std::span<const Complex> z) {
      std::vector<Complex> out(n), lse(c.time);
      reference::attention_ref(out.data(), lse.data(), z.data(), z.data() + n, z.data() + 2 * n, c.time,
                               c.size);
      Complex sum = 0;
      for (Index i = 0; i < n; ++i) sum += out[i] * d_out[i];
      return sum;
    };
    const auto expected = gradient(loss, x);
    const auto bound = gradient_bound(p);
    REQUIRE(compare(3 * n, [&](Index i) { return Element{actual[i], expected[i], bound[i]}; }));
    const auto direction = normal_values(3 * n, 9);
    double along = 0, along_bound = 0;
    for (Index i = 0; i < 3 * n; ++i) {
      along += actual[i] * direction[i];
      along_bound += bound[i] * std::abs(direction[i]);
    }
    REQUIRE(std::abs(along - directional_derivative(loss, x, direction)) <= along_bound);
  }
}

TEST_CASE("a whole gradient of a long sequence points along the loss") {
  Problem p({1, 150, 1, 16});
  p.forward();
  p.backward();
  const Index n = 150 * 16;
  std::vector<double> x, actual;
  for (Index which = 0; which < 3; ++which) {
    for (const double v : p.head(p.qkv, which, 0, 0)) x.push_back(v);
    for (const double v : p.head(p.d_qkv, which, 0, 0)) actual.push_back(v);
  }
  const auto d_out = p.head(p.d_out, 0, 0, 0);
  const auto loss = [&](std::span<const Complex> z) {
    std::vector<Complex> out(n), lse(150);
    reference::attention_ref(out.data(), lse.data(), z.data(), z.data() + n, z.data() + 2 * n, 150, 16);
    Complex sum = 0;
    for (Index i = 0; i < n; ++i) sum += out[i] * d_out[i];
    return sum;
  };
  // Along the gradient itself nothing cancels: the slope is its squared length.
  double squares = 0;
  for (const double v : actual) squares += v * v;
  REQUIRE(std::abs(directional_derivative(loss, x, actual) - squares) <= 1000 * kUnitRoundoff * squares);
  for (int stream = 20; stream < 24; ++stream) {
    const auto direction = normal_values(3 * n, stream);
    double along = 0;
    for (Index i = 0; i < 3 * n; ++i) along += actual[i] * direction[i];
    REQUIRE(std::abs(directional_derivative(loss, x, direction) - along) <=
            1000 * kUnitRoundoff * std::sqrt(squares));
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
