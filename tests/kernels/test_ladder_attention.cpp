// Every rung of the attention ladder on one ISA: exact where each query points at one key, within the bounds of its header
// elsewhere, gradients included; no bit from the future, from other heads or from the number of threads.
#include <cmath>
#include <vector>

#include "kernels/ladder/attention.hpp"
#include "kernels/reference/attention.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/isa.hpp"
#include "support/random_inputs.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::kernels::ladder;
using namespace loglog::testing;

namespace {

// H heads, one matrix (H*T, D) per operand.
struct Problem {
  Index heads, time, size;
  GuardedMatrix q{heads * time, size}, k{heads * time, size}, v{heads * time, size},
      d_out{heads * time, size}, out{heads * time, size}, d_q{heads * time, size}, d_k{heads * time, size},
      d_v{heads * time, size};

  Problem(Index h, Index t, Index d) : heads(h), time(t), size(d) {
    std::uint64_t stream = 1;
    for (GuardedMatrix* x : {&q, &k, &v, &d_out}) fill_normal(*x, stream++);
  }
  void run(const AttentionRung& rung, int threads = 1) {
    Scratch scratch(attention_scratch(test_table(), threads, heads, time, size));
    ExecContext ctx{test_table(), threads, scratch};
    rung.run(ctx, {heads, time, size, q.data(), k.data(), v.data(), out.data(), d_out.data(), d_q.data(),
                   d_k.data(), d_v.data()});
    for (const GuardedMatrix* x : {&q, &k, &v, &d_out, &out, &d_q, &d_k, &d_v}) REQUIRE(x->intact());
  }
  std::vector<double> head(const GuardedMatrix& x, Index h) const {
    std::vector<double> values;
    for (Index t = 0; t < time; ++t)
      for (Index d = 0; d < size; ++d) values.push_back(x(h * time + t, d));
    return values;
  }
};

bool is_backward(const AttentionRung& rung) {
  return rung.info.work > 1;
}

// E of the header.
double weight_error(const std::vector<double>& q, const std::vector<double>& k, Index time, Index size) {
  double a = 0;
  for (Index t = 0; t < time; ++t) {
    for (Index s = 0; s <= t; ++s) {
      double sum = 0;
      for (Index d = 0; d < size; ++d) sum += std::abs(q[t * size + d] * k[s * size + d]);
      a = std::max(a, sum / std::sqrt(double(size)));
    }
  }
  return (6 * double(time) + 11 + (double(size) + 4 + 2 * double(time)) * a) * kUnitRoundoff;
}

// The bounds of docs/kernels.md on the gradients of one head, with this E.
struct GradientBounds {
  std::vector<double> d_q, d_k, d_v;
};
GradientBounds gradient_bounds(const Problem& p, Index h, const std::vector<double>& out,
                               const std::vector<double>& lse, double error) {
  const Index time = p.time, size = p.size, n = time * size;
  const auto q = p.head(p.q, h), k = p.head(p.k, h), v = p.head(p.v, h), d_out = p.head(p.d_out, h);
  double largest_v = 0;
  for (const double x : v) largest_v = std::max(largest_v, std::abs(x));
  const double scale = 1 / std::sqrt(double(size));
  GradientBounds bounds{std::vector<double>(n, 0.0), std::vector<double>(n, 0.0),
                        std::vector<double>(n, 0.0)};
  for (Index t = 0; t < time; ++t) {
    const double e = 2 * error + (double(time + 3 * size + 16) + 2 * std::abs(lse[t])) * kUnitRoundoff;
    for (Index s = 0; s <= t; ++s) {
      double score = 0, slope = 0;
      for (Index d = 0; d < size; ++d) {
        score += q[t * size + d] * k[s * size + d] * scale;
        slope += std::abs(d_out[t * size + d]) *
                 (std::abs(v[s * size + d]) + std::abs(out[t * size + d]) + 2 * largest_v);
      }
      const double p_error = e * std::exp(score - lse[t]) + 0x1p-125;
      for (Index d = 0; d < size; ++d) {
        bounds.d_q[t * size + d] += p_error * slope * scale * std::abs(k[s * size + d]);
        bounds.d_k[s * size + d] += p_error * slope * scale * std::abs(q[t * size + d]);
        bounds.d_v[s * size + d] += p_error * std::abs(d_out[t * size + d]);
      }
    }
  }
  return bounds;
}

void check_bounds(const AttentionRung& rung, Index heads, Index time, Index size) {
  CAPTURE(rung.info.name, heads, time, size);
  Problem p(heads, time, size);
  p.run(rung, 2);
  const Index n = time * size;
  for (Index h = 0; h < heads; ++h) {
    const auto q = p.head(p.q, h), k = p.head(p.k, h), v = p.head(p.v, h), d_out = p.head(p.d_out, h);
    std::vector<double> out(n), lse(time), d_q(n), d_k(n), d_v(n);
    const reference::AttentionCase one = {.queries = time, .keys = time, .head_size = size};
    reference::attention_ref(out.data(), lse.data(), q.data(), k.data(), v.data(), one);
    const double error = weight_error(q, k, time, size);
    double largest_v = 0;
    for (const double x : v) largest_v = std::max(largest_v, std::abs(x));
    const auto got = p.head(p.out, h);
    REQUIRE(compare(n, [&](Index i) { return Element{got[i], out[i], 2 * error * largest_v}; }));
    if (!is_backward(rung)) continue;
    reference::attention_backward_ref(d_q.data(), d_k.data(), d_v.data(), d_out.data(), q.data(), k.data(),
                                      v.data(), one);
    const GradientBounds bound = gradient_bounds(p, h, out, lse, error);
    const auto check = [&](const GuardedMatrix& actual, const std::vector<double>& expected,
                           const std::vector<double>& bounds) {
      const auto values = p.head(actual, h);
      return compare(n, [&](Index i) { return Element{values[i], expected[i], bounds[i]}; });
    };
    REQUIRE(check(p.d_v, d_v, bound.d_v));
    if (time == 1) continue;  // the gradients of q and k are 0, within any bound
    REQUIRE(check(p.d_q, d_q, bound.d_q));
    REQUIRE(check(p.d_k, d_k, bound.d_k));
  }
}

}  // namespace

TEST_CASE("attention rungs keep their bounds, gradients too", "[ladder]") {
  for (const AttentionRung& rung : attention_rungs(test_table())) {
    for (const Index size : {1, 7, 16, 33}) check_bounds(rung, 2, 17, size);
    for (const Index time : {1, 2, 63, 64, 65}) check_bounds(rung, 1, time, 8);
    check_bounds(rung, 1, 130, 20);
    check_bounds(rung, 3, 5, 129);  // more than one piece of D
  }
}

// Key x is (x, -x^2) and query t (2 y, 1) for its target y: weights are 1 for x = y and 0 for all others.
TEST_CASE("attention rungs select exactly", "[ladder][large]") {
  for (const AttentionRung& rung : attention_rungs(test_table())) {
    for (const Index time : {1, 63, 64, 65, 129}) {
      for (const Index size : {2, 16, 35, 130}) {
        CAPTURE(rung.info.name, time, size);
        Problem p(2, time, size);
        const auto target = [&](Index row) { return (5 * (row % time) + 2) % (row % time + 1); };
        const double stretch = 1000 * std::sqrt(double(size));
        p.q.fill([&](Index row, Index d) {
          return d == 0 ? 2 * stretch * target(row) : d == 1 ? stretch : 0;
        });
        p.k.fill([&](Index row, Index d) {
          return double(d == 0 ? row % time : d == 1 ? -(row % time) * (row % time) : 0);
        });
        fill_integer(p.v, 9);
        p.run(rung);
        REQUIRE(compare(2 * time * size, [&](Index i) {
          const Index row = i / size, d = i % size;
          return Element{p.out(row, d), p.v(row - row % time + target(row), d)};
        }));
      }
    }
  }
}

TEST_CASE("attention rungs: bits from neither threads nor heads, nothing from the future", "[ladder]") {
  const Index time = 70, size = 18;
  for (const AttentionRung& rung : attention_rungs(test_table())) {
    CAPTURE(rung.info.name);
    Problem three(3, time, size), threads(3, time, size), one(1, time, size);
    three.run(rung, 1);
    threads.run(rung, 3);
    REQUIRE(compare_equal(threads.out.values(), three.out.values()));
    for (GuardedMatrix Problem::*x : {&Problem::q, &Problem::k, &Problem::v, &Problem::d_out})
      (one.*x).fill([&](Index row, Index d) { return (three.*x)(time + row, d); });
    one.run(rung, 1);
    REQUIRE(compare(time * size, [&](Index i) {
      return Element{one.out(i / size, i % size), three.out(time + i / size, i % size)};
    }));
    if (is_backward(rung)) {
      REQUIRE(compare_equal(threads.d_k.values(), three.d_k.values()));
      continue;  // gradients do depend on the future
    }
    for (Index d = 0; d < size; ++d) one.k(time - 1, d) = one.v(time - 1, d) = std::nanf("");
    const std::vector<float> before = one.out.values();
    one.run(rung, 1);
    REQUIRE(compare((time - 1) * size, [&](Index i) {
      return Element{one.out(i / size, i % size), before[i]};
    }));
  }
}
