// The row kernels of one ISA against plain loops in float64, their gradients against complex steps, and
// the promises of rowwise.hpp. Bounds: docs/kernels.md.
#include "kernels/rowwise.hpp"

#include <cmath>
#include <vector>

#include "base/check.hpp"
#include "kernels/reference/rowwise.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/complex_step.hpp"
#include "support/isa.hpp"
#include "support/random_inputs.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

namespace {

constexpr double u = kUnitRoundoff;
const Index kColumns[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65};

// Runs body(ctx) with scratch for (rows, cols).
template <class Body>
void run(int threads, Index rows, Index cols, Body&& body) {
  Scratch scratch(rowwise_scratch_bytes(test_table(), threads, rows, cols));
  ExecContext ctx{test_table(), threads, scratch};
  body(ctx);
}

std::vector<double> row_values(const GuardedMatrix& x, Index r) {
  std::vector<double> values;
  for (Index j = 0; j < x.cols(); ++j) values.push_back(x(r, j));
  return values;
}

std::vector<Token> tokens_below(Index n, Index vocab) {
  const Rng rng(4, 4);
  std::vector<Token> tokens;
  for (Index i = 0; i < n; ++i) tokens.push_back(static_cast<Token>(rng.below(i, vocab)));
  return tokens;
}

struct Norm {
  Index rows, cols;
  GuardedMatrix in{rows, cols, 3}, out{rows, cols, 1}, d_out{rows, cols, 2}, d_in{rows, cols, 1};
  GuardedMatrix gain = guarded_vector(cols), bias = guarded_vector(cols), mean = guarded_vector(rows),
                rstd = guarded_vector(rows), d_gain = guarded_vector(cols), d_bias = guarded_vector(cols);
  Norm(Index r, Index c, double scale) : rows(r), cols(c) {
    fill_normal(in, 1, scale);
    fill_normal(gain, 2);
    fill_normal(bias, 3);
    fill_normal(d_out, 4);
    d_gain.fill([](auto, auto) { return 1; });
    d_bias.fill([](auto, auto) { return 1; });
  }
  void forward(int threads = 1) {
    run(threads, rows, cols, [&](ExecContext& ctx) {
      layernorm_forward(ctx, out.ref(), mean.data(), rstd.data(), in.ref(), gain.data(), bias.data(), 1e-5f);
    });
  }
  void backward(int threads = 1) {
    run(threads, rows, cols, [&](ExecContext& ctx) {
      layernorm_backward(ctx, d_in.ref(), d_gain.data(), d_bias.data(), d_out.ref(), in.ref(), mean.data(),
                         rstd.data(), gain.data());
    });
  }
  bool intact() const {
    return out.intact() && mean.intact() && rstd.intact() && d_in.intact() && d_gain.intact() &&
           d_bias.intact();
  }
};

}  // namespace

TEST_CASE("layernorm is within its bound") {
  for (const double scale : {1.0, 64.0, 512.0}) {
    for (const Index cols : kColumns) {
      if (cols < 3) continue;  // one or two values normalise to 0 or +-1: see the exact test
      CAPTURE(scale, cols);
      Norm p(5, cols, scale);
      p.forward();
      REQUIRE(p.intact());
      for (Index r = 0; r < p.rows; ++r) {
        const auto x = row_values(p.in, r), g = row_values(p.gain, 0), b = row_values(p.bias, 0);
        std::vector<double> expected(cols);
        double mean, rstd, absolute = 0;
        reference::layernorm_ref(expected.data(), mean, rstd, x.data(), g.data(), b.data(), cols,
                                 double(1e-5f));
        for (const double v : x) absolute += std::abs(v) / double(cols);
        REQUIRE(compare(cols, [&](Index j) {
          const double normal = std::abs((x[j] - mean) * rstd);
          const double mean_error = (cols + 1) * absolute * rstd;
          return Element{p.out(r, j), expected[j],
                         u * ((mean_error * (1 + normal) + normal * (cols + 8)) * std::abs(g[j]) +
                              2 * std::abs(expected[j]) + std::abs(b[j]))};
        }));
      }
    }
  }
}

TEST_CASE("layernorm of equal values is the bias, exactly") {
  for (const Index cols : {1, 2, 4, 16, 64}) {
    Norm p(3, cols, 1.0);
    p.in.fill([](Index i, Index) { return i + 2; });
    p.forward();
    for (Index r = 0; r < 3; ++r)
      for (Index j = 0; j < cols; ++j) REQUIRE(p.out(r, j) == p.bias(0, j));
  }
}

TEST_CASE("layernorm's gradients agree with complex steps, and add to what is there") {
  for (const double scale : {1.0, 32.0, 512.0}) {
    for (const Index cols : {3, 8, 17, 33}) {
      CAPTURE(scale, cols);
      const Index rows = 3;
      Norm p(rows, cols, scale);
      p.forward();
      p.backward();
      REQUIRE(p.intact());
      // x, then gain, then bias.
      std::vector<double> x, actual;
      for (Index r = 0; r < rows; ++r)
        for (Index j = 0; j < cols; ++j) x.push_back(p.in(r, j)), actual.push_back(p.d_in(r, j));
      for (Index j = 0; j < cols; ++j)
        x.push_back(p.gain(0, j)), actual.push_back(double(p.d_gain(0, j)) - 1.0);
      for (Index j = 0; j < cols; ++j)
        x.push_back(p.bias(0, j)), actual.push_back(double(p.d_bias(0, j)) - 1.0);
      const auto loss = [&](std::span<const Complex> z) {
        Complex sum = 0, mean, rstd;
        std::vector<Complex> out(cols);
        const Complex* gain = z.data() + rows * cols;
        for (Index r = 0; r < rows; ++r) {
          reference::layernorm_ref(out.data(), mean, rstd, z.data() + r * cols, gain, gain + cols, cols,
                                   double(1e-5f));
          for (Index j = 0; j < cols; ++j) sum += out[j] * double(p.d_out(r, j));
        }
        return sum;
      };
      const auto expected = gradient(loss, x);
      // Every term of d_in is rstd times a product of g and n, |n| <= sqrt(C); forward's errors enter with
      // factors of the same kind. Sums of parameters: 1 is added to them.
      const auto bound = [&](Index i) {
        double weight = 0;
        if (i >= rows * cols) {
          for (Index r = 0; r < rows; ++r) weight += std::abs(double(p.d_out(r, (i - rows * cols) % cols)));
          return 4 * u * (cols + 8) * weight * std::sqrt(double(cols)) + 2 * u * (1 + std::abs(expected[i]));
        }
        const Index r = i / cols;
        for (Index j = 0; j < cols; ++j) weight += std::abs(double(p.d_out(r, j)) * double(p.gain(0, j)));
        return 4 * u * (cols + 8) * double(p.rstd(0, r)) * weight;
      };
      REQUIRE(compare(static_cast<Index>(x.size()), [&](Index i) {
        return Element{actual[i], expected[i], bound(i)};
      }));
      const auto direction = normal_values(x.size(), 8);
      double along = 0, along_bound = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        along += actual[i] * direction[i];
        along_bound += bound(static_cast<Index>(i)) * std::abs(direction[i]);
      }
      REQUIRE(std::abs(directional_derivative(loss, x, direction) - along) <= along_bound);
    }
  }
}

TEST_CASE("gelu and its derivative, from -20 to 20 and at the ends of float") {
  const Index n = 1001;
  GuardedMatrix x(1, n), y(1, n), d_y(1, n), d_x(1, n);
  x.fill([](Index, Index j) { return (double(j) - 500) / 25; });
  fill_normal(d_y, 5);
  run(1, 1, n, [&](ExecContext& ctx) {
    gelu_forward(ctx, y.ref(), x.ref());
    gelu_backward(ctx, d_x.ref(), d_y.ref(), x.ref());
  });
  const auto slope = [](double v) { return std::abs(1.5957691216057308 * v * (1 + 0.044715 * v * v)); };
  // Where e^-z overflows (2^128), what is lost is below |x| 2^-128.
  REQUIRE(compare(n, [&](Index j) {
    const double v = x(0, j), exact = reference::gelu_ref(v);
    const double amplified = 5 * slope(v) / (1 + std::exp(std::min(v > 0 ? slope(v) : 0.0, 700.0)));
    return Element{y(0, j), exact, u * (amplified + 8) * std::abs(exact) + std::abs(v) * 0x1p-128};
  }));
  // z is held at +-80: what is lost is below (1 + |x| z') e^-80 < 2^-105 for |x| <= 16.
  REQUIRE(compare(n, [&](Index j) {
    const double v = x(0, j), z = slope(v), tail = 1 / (2 + std::exp(z) + std::exp(-z));  // s (1 - s)
    const Complex exact = reference::gelu_ref(Complex(v, kComplexStep)) / kComplexStep;
    const double s = v >= 0 ? 1 / (1 + std::exp(-z)) : 1 / (1 + std::exp(z));
    const double second = std::abs(v) * 1.5957691216057308 * (1 + 3 * 0.044715 * v * v) * tail;
    return Element{d_x(0, j), exact.imag() * d_y(0, j),
                   u * std::abs(d_y(0, j)) * (6 * s + (5 * z + 6) * tail + (10 * z + 16) * second + 0x1p-81)};
  }));
  const float inputs[] = {1e30f, -1e30f, 1e4f, -1e4f, 0.0f}, forward[] = {1e30f, 0, 1e4f, 0, 0},
              slopes[] = {1, 0, 1, 0, 0.5f};
  for (int i = 0; i < 5; ++i) {
    const float one = 1;
    float out, d_in;
    run(1, 1, 1, [&](ExecContext& ctx) {
      gelu_forward(ctx, {&out, 1, 1}, {&inputs[i], 1, 1});
      gelu_backward(ctx, {&d_in, 1, 1}, {&one, 1, 1}, {&inputs[i], 1, 1});
    });
    CAPTURE(inputs[i]);
    REQUIRE(out == forward[i]);
    REQUIRE(std::abs(d_in - slopes[i]) < 1e-30f);
  }
}

TEST_CASE("cross entropy and its gradient; an ignored target counts nothing; in place") {
  for (const double scale : {1.0, 32.0, 512.0}) {
    for (const Index vocab : {1, 2, 5, 8, 31, 65, 256}) {
      CAPTURE(scale, vocab);
      const Index rows = 6;
      GuardedMatrix logits(rows, vocab, 2), d_logits(rows, vocab, 1), losses = guarded_vector(rows),
                                                                      alone = guarded_vector(rows);
      fill_normal(logits, 1, scale);
      auto targets = tokens_below(rows, vocab);
      targets[2] = kIgnoreTarget;
      run(1, rows, vocab, [&](ExecContext& ctx) {
        cross_entropy_forward(ctx, alone.data(), logits.ref(), targets.data());
        cross_entropy_forward_backward(ctx, losses.data(), d_logits.ref(), logits.ref(), targets.data(),
                                       0.25f);
      });
      REQUIRE(compare_equal(losses.values(), alone.values()));
      REQUIRE((d_logits.intact() && losses.intact()));
      REQUIRE(losses(0, 2) == 0.0f);
      for (Index r = 0; r < rows; ++r) {
        const auto x = row_values(logits, r);
        if (targets[r] == kIgnoreTarget) {
          for (Index j = 0; j < vocab; ++j) REQUIRE(d_logits(r, j) == 0.0f);
          continue;
        }
        const auto loss = [&](std::span<const Complex> z) {
          return 0.25 * reference::cross_entropy_ref(z.data(), vocab, targets[r]);
        };
        double largest = 0;
        for (const double v : x) largest = std::max(largest, std::abs(v));
        const double exact = reference::cross_entropy_ref(x.data(), vocab, Index(targets[r]));
        REQUIRE(std::abs(losses(0, r) - exact) <= u * (vocab + 6 * largest + 8 + 3 * std::abs(exact)));
        const auto expected = gradient(loss, x);
        REQUIRE(std::abs(expected[targets[r]]) <= 0.25);
        for (Index j = 0; j < vocab; ++j) {
          const double softmax = expected[j] / 0.25 + (j == targets[r]);
          REQUIRE(std::abs(d_logits(r, j) - expected[j]) <=
                  0.25 * u * ((vocab + 4 * largest + 16) * softmax + 1) + 0x1p-125);
        }
      }
      GuardedMatrix in_place(rows, vocab);
      in_place.fill([&](Index i, Index j) { return logits(i, j); });
      run(1, rows, vocab, [&](ExecContext& ctx) {
        cross_entropy_forward_backward(ctx, losses.data(), in_place.ref(), in_place.ref(), targets.data(),
                                       0.25f);
      });
      REQUIRE(compare_equal(in_place.values(), d_logits.values()));
    }
  }
}

TEST_CASE("sums, embeddings and additions of whole numbers are exact") {
  for (const Index cols : kColumns) {
    const Index rows = 131, vocab = 7, time = 10;  // more than two chunks of rows
    CAPTURE(cols);
    GuardedMatrix x(rows, cols, 3), tokens_table(vocab, cols, 1), positions(time, cols, 2),
        out(rows, cols, 1), sums = guarded_vector(cols), d_tokens(vocab, cols, 1), d_positions(time, cols, 1),
                            twice(rows, cols);
    fill_integer(x, 1);
    fill_integer(tokens_table, 2);
    fill_integer(positions, 3);
    sums.fill([](auto, auto) { return 1; });
    d_tokens.fill([](auto, auto) { return 1; });
    d_positions.fill([](auto, auto) { return 1; });
    const auto tokens = tokens_below(rows, vocab);
    run(2, rows, cols, [&](ExecContext& ctx) {
      column_sums(ctx, sums.data(), x.ref());
      embedding_forward(ctx, out.ref(), tokens_table.ref(), positions.ref(), tokens.data(), time);
      embedding_backward(ctx, d_tokens.ref(), d_positions.ref(), x.ref(), tokens.data(), time);
      add(ctx, twice.ref(), x.ref(), x.ref());
    });
    REQUIRE((sums.intact() && out.intact() && d_tokens.intact() && d_positions.intact() && twice.intact()));
    std::vector<double> sum(cols, 1), token_sum(vocab * cols, 1), position_sum(time * cols, 1), embedded,
        doubled;
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < cols; ++j) {
        sum[j] += x(r, j);
        token_sum[tokens[r] * cols + j] += x(r, j);
        position_sum[r % time * cols + j] += x(r, j);
        embedded.push_back(tokens_table(tokens[r], j) + positions(r % time, j));
        doubled.push_back(2 * x(r, j));
      }
    }
    REQUIRE(compare_equal(sums.values(), sum));
    REQUIRE(compare_equal(d_tokens.values(), token_sum));
    REQUIRE(compare_equal(d_positions.values(), position_sum));
    REQUIRE(compare_equal(out.values(), embedded));
    REQUIRE(compare_equal(twice.values(), doubled));
  }
}

// One element in float64 with the bounds of docs/kernels.md.
struct AdamWElement {
  double param, m = 0, v = 0, param_bound = 0;
  double magnitude = 0;  // M: m with |g| for g

  void update(double grad, const AdamWStep& s) {
    const reference::AdamWRef exact = {s.lr,           s.beta1,      s.beta2, s.epsilon,
                                       s.weight_decay, s.grad_scale, s.step};
    const double t = double(s.step), decay = exact.weight_decay * std::abs(param);
    reference::adamw_ref(param, m, v, grad, exact);
    magnitude = exact.beta1 * magnitude + (1 - exact.beta1) * std::abs(grad * exact.grad_scale);
    const double c1 = 1 / (1 - std::pow(exact.beta1, t)), c2 = 1 / (1 - std::pow(exact.beta2, t));
    const double d = std::sqrt(v * c2) + exact.epsilon;
    param_bound += exact.lr * u * ((3 * t * magnitude + (t + 9.5) * std::abs(m)) * c1 / d + 3 * decay) +
                   u * std::abs(param);
  }
};

TEST_CASE("adamw is within its bounds after every step") {
  struct Case {
    float lr;
    double param, grad;  // standard deviations
  };
  // Parameters that hide the rounding of the update, then those that do not; gradients that epsilon is small or not
  // beside.
  for (const Case c : {Case{0.01f, 1, 3}, Case{1, 0, 3}, Case{1, 0, 1e-7}}) {
    for (const Index n : {1, 7, 8, 9, 100}) {
      GuardedMatrix param = guarded_vector(n), m = guarded_vector(n), v = guarded_vector(n),
                    grad = guarded_vector(n);
      fill_normal(param, 1, c.param);
      m.fill([](auto, auto) { return 0; });
      v.fill([](auto, auto) { return 0; });
      std::vector<AdamWElement> exact;
      for (Index i = 0; i < n; ++i) exact.push_back({param(0, i)});
      AdamWStep now{.lr = c.lr, .beta1 = 0.9f, .beta2 = 0.999f, .weight_decay = 0.125f, .grad_scale = 0.3f};
      for (now.step = 1; now.step <= 8; ++now.step) {
        CAPTURE(c.lr, c.grad, n, now.step);
        fill_normal(grad, 10 + now.step, c.grad);
        run(1, 1, n,
            [&](ExecContext& ctx) { adamw(ctx, param.data(), m.data(), v.data(), grad.data(), n, now); });
        for (Index i = 0; i < n; ++i) exact[i].update(grad(0, i), now);
        REQUIRE((param.intact() && m.intact() && v.intact()));
        const double t = double(now.step);
        REQUIRE(compare(n, [&](Index i) {
          return Element{m(0, i), exact[i].m, 3 * t * u * exact[i].magnitude};
        }));
        REQUIRE(compare(n, [&](Index i) {
          return Element{v(0, i), exact[i].v, (2 * t + 3) * u * exact[i].v};
        }));
        REQUIRE(compare(n, [&](Index i) {
          return Element{param(0, i), exact[i].param, exact[i].param_bound};
        }));
      }
    }
  }
}

TEST_CASE("sum of squares is exact in float64 and passes on what is not finite") {
  for (const Index n : {0, 1, 15, 16, 17, 40000}) {
    GuardedMatrix x = guarded_vector(n);
    fill_integer(x, 1);
    double expected = 0;
    for (Index i = 0; i < n; ++i) expected += double(x(0, i)) * x(0, i);
    for (const int threads : {1, 3}) {
      run(threads, 1, n, [&](ExecContext& ctx) { REQUIRE(sum_of_squares(ctx, x.data(), n) == expected); });
    }
    if (n == 0) continue;
    x(0, n - 1) = 1e30f;
    run(1, 1, n, [&](ExecContext& ctx) { REQUIRE(sum_of_squares(ctx, x.data(), n) > 9e59); });
    x(0, n / 2) = std::nanf("");
    run(1, 1, n, [&](ExecContext& ctx) { REQUIRE(std::isnan(sum_of_squares(ctx, x.data(), n))); });
  }
}

// Enough elements for 13 pieces of rowwise.cpp, of which 2 threads take 8 and 3 take 12.
constexpr Index kCutRows = 811, kCutCols = 275;

// What the drivers write whose pieces follow the number of threads, and column sums, from inputs that do not.
std::vector<std::vector<float>> results_with(int threads) {
  const Index rows = kCutRows, cols = kCutCols, n = rows * cols, time = 10;
  const auto normal = [](Index r, Index c, std::uint64_t stream) {
    GuardedMatrix x(r, c);
    fill_normal(x, stream);
    return x.values();
  };
  const std::vector<float> x = normal(rows, cols, 1), y = normal(rows, cols, 2);
  const ConstMatrixRef in(x.data(), rows, cols), other(y.data(), rows, cols);
  const auto tokens = tokens_below(rows, cols);
  std::vector<std::vector<float>> results;
  const auto output = [&](Index r, Index c) {
    return MatrixRef(results.emplace_back(normal(r, c, 3)).data(), r, c);
  };
  run(threads, rows, cols, [&](ExecContext& ctx) {
    gelu_forward(ctx, output(rows, cols), in);
    gelu_backward(ctx, output(rows, cols), other, in);
    add(ctx, output(rows, cols), in, other);
    column_sums(ctx, output(1, cols).data, in);
    const MatrixRef losses = output(1, rows), d_logits = output(rows, cols);
    cross_entropy_forward_backward(ctx, losses.data, d_logits, in, tokens.data(), 0.25f);
    const MatrixRef token_table = output(cols, cols), positions = output(time, cols);
    embedding_forward(ctx, output(rows, cols), token_table, positions, tokens.data(), time);
    embedding_backward(ctx, token_table, positions, other, tokens.data(), time);
    const MatrixRef param = output(1, n), m = output(1, n), v = output(1, n);
    for (Index i = 0; i < n; ++i) v.data[i] *= v.data[i];
    adamw(ctx, param.data, m.data, v.data, x.data(), n, {.lr = 0.01f, .weight_decay = 0.1f, .step = 3});
  });
  return results;
}

TEST_CASE("no bit depends on threads, whether they have a part in the cut or not") {
  const auto one = results_with(1);
  for (const int threads : {2, 3, 5}) {
    const auto many = results_with(threads);
    for (std::size_t i = 0; i < one.size(); ++i) {
      CAPTURE(threads, i);
      REQUIRE(compare_equal(many[i], one[i]));
    }
  }
  const auto x = normal_values(1 << 16, 1);
  const std::vector<float> floats(x.begin(), x.end());
  const auto squares = [&](int threads) {
    double sum = 0;
    const Index n = static_cast<Index>(floats.size());
    run(threads, 1, n, [&](ExecContext& ctx) { sum = sum_of_squares(ctx, floats.data(), n); });
    return sum;
  };
  for (const int threads : {2, 3, 5}) REQUIRE(squares(threads) == squares(1));
}

TEST_CASE("bits of layernorm do not depend on threads, nor a row's on the rows beside it") {
  const Index rows = kCutRows, cols = kCutCols;
  Norm one(rows, cols, 1.0);
  one.forward();
  one.backward();
  for (const int threads : {2, 3, 5}) {
    Norm many(rows, cols, 1.0);
    many.forward(threads);
    many.backward(threads);
    REQUIRE(compare_equal(many.out.values(), one.out.values()));
    REQUIRE(compare_equal(many.d_in.values(), one.d_in.values()));
    REQUIRE(compare_equal(many.d_gain.values(), one.d_gain.values()));
    REQUIRE(compare_equal(many.d_bias.values(), one.d_bias.values()));
  }
  Norm single(1, cols, 1.0);
  single.in.fill([&](Index, Index j) { return one.in(500, j); });
  single.forward();
  for (Index j = 0; j < cols; ++j) REQUIRE(single.out(0, j) == one.out(500, j));
}

TEST_CASE("nothing to do, and broken contracts") {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{0, 4}, {3, 0}}) {
    Norm p(rows, cols, 1.0);
    p.forward();
    p.backward();
    run(2, rows, cols, [&](ExecContext& ctx) {
      gelu_forward(ctx, p.out.ref(), p.in.ref());
      gelu_backward(ctx, p.d_in.ref(), p.d_out.ref(), p.in.ref());
      column_sums(ctx, p.d_bias.data(), p.in.ref());
    });
    REQUIRE(p.intact());
    for (Index r = 0; r < rows; ++r)
      REQUIRE((std::isnan(p.mean(0, r)) && std::isnan(p.rstd(0, r))));  // as before
  }
  Norm p(2, 4, 1.0);
  GuardedMatrix narrow(2, 3);
  const Token outside[] = {0, 4};
  run(1, 2, 4, [&](ExecContext& ctx) {
    REQUIRE_THROWS_AS(gelu_forward(ctx, narrow.ref(), p.in.ref()), ContractError);
    REQUIRE_THROWS_AS(cross_entropy_forward(ctx, p.mean.data(), p.in.ref(), outside), ContractError);
    const Token tokens[] = {0, 1};
    const MatrixRef no_positions(p.d_in.data(), 0, 4);
    REQUIRE_THROWS_AS(embedding_forward(ctx, p.out.ref(), p.in.ref(), no_positions, tokens, 0),
                      ContractError);
    REQUIRE_THROWS_AS(embedding_backward(ctx, p.d_in.ref(), no_positions, p.d_out.ref(), tokens, 0),
                      ContractError);
  });
  for (const int threads : {0, -1}) {
    Scratch scratch(rowwise_scratch_bytes(test_table(), 1, 2, 4));
    ExecContext ctx{test_table(), threads, scratch};
    REQUIRE_THROWS_AS(add(ctx, p.out.ref(), p.in.ref(), p.in.ref()), ContractError);
    REQUIRE_THROWS_AS(column_sums(ctx, p.d_bias.data(), p.in.ref()), ContractError);
    REQUIRE_THROWS_AS(sum_of_squares(ctx, p.in.data(), 0), ContractError);
  }
}
