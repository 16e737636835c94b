// LayerNorm and RMSNorm of one ISA against plain loops in float64, their gradients against complex steps. Bounds: docs/kernels.md.
#include "kernels/rowwise/norm.hpp"

#include <cmath>

#include "base/check.hpp"
#include "kernels/reference/rowwise.hpp"
#include "kernels/rowwise/rowwise_cases.hpp"
#include "support/catch.hpp"
#include "support/complex_step.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

namespace {

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

struct RmsNorm {
  Index rows, cols;
  GuardedMatrix in{rows, cols, 3}, out{rows, cols, 1}, d_out{rows, cols, 2}, d_in{rows, cols, 1};
  GuardedMatrix gain = guarded_vector(cols), rstd = guarded_vector(rows), d_gain = guarded_vector(cols);
  RmsNorm(Index r, Index c, double scale) : rows(r), cols(c) {
    fill_normal(in, 1, scale);
    fill_normal(gain, 2);
    fill_normal(d_out, 4);
    d_gain.fill([](auto, auto) { return 1; });
  }
  void forward(int threads = 1) {
    run(threads, rows, cols, [&](ExecContext& ctx) {
      rmsnorm_forward(ctx, out.ref(), rstd.data(), in.ref(), gain.data(), 1e-5f);
    });
  }
  void backward(int threads = 1) {
    run(threads, rows, cols, [&](ExecContext& ctx) {
      rmsnorm_backward(ctx, d_in.ref(), d_gain.data(), d_out.ref(), in.ref(), rstd.data(), gain.data());
    });
  }
  bool intact() const { return out.intact() && rstd.intact() && d_in.intact() && d_gain.intact(); }
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

TEST_CASE("rmsnorm is within its bound") {
  for (const double scale : {1e-3, 1.0, 512.0}) {
    for (const Index cols : kColumns) {
      CAPTURE(scale, cols);
      RmsNorm p(5, cols, scale);
      p.forward();
      REQUIRE(p.intact());
      const auto g = row_values(p.gain, 0);
      for (Index r = 0; r < p.rows; ++r) {
        const auto x = row_values(p.in, r);
        std::vector<double> expected(cols);
        double rstd;
        reference::rmsnorm_ref(expected.data(), rstd, x.data(), g.data(), cols, double(1e-5f));
        REQUIRE(compare(cols, [&](Index j) {
          return Element{p.out(r, j), expected[j], u * (0.5 * double(cols) + 6) * std::abs(expected[j])};
        }));
        REQUIRE(std::abs(p.rstd(0, r) - rstd) <= u * (0.5 * double(cols) + 4) * rstd);
      }
    }
  }
}

TEST_CASE("rmsnorm of rows of one size is exact") {
  for (const Index cols : {1, 2, 4, 16, 17, 64}) {
    RmsNorm p(3, cols, 1.0);
    p.in.fill([](Index i, Index j) { return j % 3 == 1 ? -double(1 << i) : double(1 << i); });
    fill_integer(p.gain, 5);
    run(1, 3, cols, [&](ExecContext& ctx) {
      rmsnorm_forward(ctx, p.out.ref(), p.rstd.data(), p.in.ref(), p.gain.data(), 0.0f);
    });
    for (Index r = 0; r < 3; ++r)
      for (Index j = 0; j < cols; ++j) REQUIRE(p.out(r, j) == (j % 3 == 1 ? -1 : 1) * p.gain(0, j));
  }
}

TEST_CASE("rmsnorm's gradients agree with complex steps, and add to what is there") {
  for (const double scale : {1.0, 32.0, 512.0}) {
    for (const Index cols : {1, 3, 8, 17, 33}) {
      CAPTURE(scale, cols);
      const Index rows = 3;
      RmsNorm p(rows, cols, scale);
      p.forward();
      p.backward();
      REQUIRE(p.intact());
      std::vector<double> x, actual;  // in, then gain
      for (Index r = 0; r < rows; ++r)
        for (Index j = 0; j < cols; ++j) x.push_back(p.in(r, j)), actual.push_back(p.d_in(r, j));
      for (Index j = 0; j < cols; ++j)
        x.push_back(p.gain(0, j)), actual.push_back(double(p.d_gain(0, j)) - 1.0);
      const auto loss = [&](std::span<const Complex> z) {
        Complex sum = 0, rstd;
        std::vector<Complex> out(cols);
        for (Index r = 0; r < rows; ++r) {
          reference::rmsnorm_ref(out.data(), rstd, z.data() + r * cols, z.data() + rows * cols, cols,
                                 double(1e-5f));
          for (Index j = 0; j < cols; ++j) sum += out[j] * double(p.d_out(r, j));
        }
        return sum;
      };
      const auto normal = [&](Index r, Index j) { return std::abs(double(p.in(r, j)) * p.rstd(0, r)); };
      const auto bound = [&](Index i) {
        const double c = double(cols);
        double weight = 0;
        if (i >= rows * cols) {
          const Index j = i - rows * cols;
          for (Index r = 0; r < rows; ++r) weight += std::abs(p.d_out(r, j)) * normal(r, j);
          return u * ((0.5 * c + double(rows) + 8) * weight + 2 * (1 + weight));
        }
        const Index r = i / cols;
        const auto g = [&](Index j) { return std::abs(double(p.d_out(r, j)) * p.gain(0, j)); };
        for (Index j = 0; j < cols; ++j) weight += g(j) * normal(r, j) / c;
        return u * p.rstd(0, r) *
               ((0.5 * c + 8) * g(i % cols) + (2.5 * c + 20) * normal(r, i % cols) * weight);
      };
      const auto expected = gradient(loss, x);
      REQUIRE(compare(static_cast<Index>(x.size()), [&](Index i) {
        return Element{actual[i], expected[i], bound(i)};
      }));
      const auto direction = normal_values(x.size(), 8);
      REQUIRE(agrees_along(directional_derivative(loss, x, direction), actual, direction, bound));
    }
  }
}

TEST_CASE("norms in place give what they give elsewhere") {
  for (const Index cols : {5, 16, 33}) {
    Norm p(3, cols, 1.0);
    RmsNorm q(3, cols, 1.0);
    p.forward(), p.backward(), q.forward(), q.backward();
    GuardedMatrix x(3, cols), y(3, cols), d_x(3, cols), d_y(3, cols);
    copy_of(x, p.in), copy_of(y, q.in), copy_of(d_x, p.d_out), copy_of(d_y, q.d_out);
    run(1, 3, cols, [&](ExecContext& ctx) {
      layernorm_forward(ctx, x.ref(), p.mean.data(), p.rstd.data(), x.ref(), p.gain.data(), p.bias.data(),
                        1e-5f);
      rmsnorm_forward(ctx, y.ref(), q.rstd.data(), y.ref(), q.gain.data(), 1e-5f);
      layernorm_backward(ctx, d_x.ref(), p.d_gain.data(), nullptr, d_x.ref(), p.in.ref(), p.mean.data(),
                         p.rstd.data(), p.gain.data());
      rmsnorm_backward(ctx, d_y.ref(), q.d_gain.data(), d_y.ref(), q.in.ref(), q.rstd.data(), q.gain.data());
    });
    REQUIRE(compare_equal(x.values(), p.out.values()));
    REQUIRE(compare_equal(y.values(), q.out.values()));
    REQUIRE(compare_equal(d_x.values(), p.d_in.values()));
    REQUIRE(compare_equal(d_y.values(), q.d_in.values()));
  }
}

TEST_CASE("gradients of norms join a residual with one rounding") {
  for (const Index cols : {5, 16, 33, 70}) {
    const Index rows = 131;
    Norm p(rows, cols, 1.0);
    RmsNorm q(rows, cols, 1.0);
    GuardedMatrix residual(rows, cols, 2), d_x(rows, cols, 1), d_y(rows, cols, 1);
    fill_normal(residual, 9);
    p.forward(), p.backward(), q.forward(), q.backward();
    run(2, rows, cols, [&](ExecContext& ctx) {
      layernorm_backward(ctx, d_x.ref(), p.d_gain.data(), p.d_bias.data(), p.d_out.ref(), p.in.ref(),
                         p.mean.data(), p.rstd.data(), p.gain.data(), residual.ref());
      rmsnorm_backward(ctx, d_y.ref(), q.d_gain.data(), q.d_out.ref(), q.in.ref(), q.rstd.data(),
                       q.gain.data(), residual.ref());
    });
    REQUIRE((d_x.intact() && d_y.intact()));
    REQUIRE(compare(rows * cols, [&](Index e) {
      const Index i = e / cols, j = e % cols;
      return Element{d_x(i, j), p.d_in(i, j) + residual(i, j)};
    }));
    REQUIRE(compare(rows * cols, [&](Index e) {
      const Index i = e / cols, j = e % cols;
      return Element{d_y(i, j), q.d_in(i, j) + residual(i, j)};
    }));
  }
}

TEST_CASE("norms: the same bits streamed") {
  const Rowwise& tiles = *test_table().rowwise;
  const Index rows = 3;
  REQUIRE(same_bits_streamed(rows, [&](GuardedMatrix& out, Stores stores) {
    Norm p(rows, out.cols(), 1.0);
    tiles.layernorm_forward(out.ref(), p.mean.data(), p.rstd.data(), p.in.ref(), p.gain.data(), p.bias.data(),
                            1e-5f, stores);
  }));
  REQUIRE(same_bits_streamed(rows, [&](GuardedMatrix& out, Stores stores) {
    Norm p(rows, out.cols(), 1.0);
    p.forward();
    tiles.layernorm_backward(out.ref(), p.d_gain.data(), p.d_bias.data(), p.d_out.ref(), p.in.ref(),
                             p.mean.data(), p.rstd.data(), p.gain.data(), stores);
  }));
  REQUIRE(same_bits_streamed(rows, [&](GuardedMatrix& out, Stores stores) {
    RmsNorm p(rows, out.cols(), 1.0);
    tiles.rmsnorm_forward(out.ref(), p.rstd.data(), p.in.ref(), p.gain.data(), 1e-5f, stores);
  }));
  REQUIRE(same_bits_streamed(rows, [&](GuardedMatrix& out, Stores stores) {
    RmsNorm p(rows, out.cols(), 1.0);
    p.forward();
    tiles.rmsnorm_backward(out.ref(), p.d_gain.data(), p.d_out.ref(), p.in.ref(), p.rstd.data(),
                           p.gain.data(), stores);
  }));
}

TEST_CASE("bits of norms do not depend on threads, nor a row's on the rows beside it") {
  REQUIRE(same_bits_for_threads([](int threads) {
    std::vector<float> all;
    Norm p(kCutRows, kCutCols, 1.0);
    p.forward(threads), p.backward(threads);
    for (const auto* x : {&p.out, &p.d_in, &p.d_gain, &p.d_bias}) append(all, *x);
    RmsNorm q(kCutRows, kCutCols, 1.0);
    q.forward(threads), q.backward(threads);
    for (const auto* x : {&q.out, &q.d_in, &q.d_gain}) append(all, *x);
    return all;
  }));
  Norm many(9, kCutCols, 1.0), one(1, kCutCols, 1.0);
  RmsNorm many_rms(9, kCutCols, 1.0), one_rms(1, kCutCols, 1.0);
  for (GuardedMatrix* in : {&one.in, &one_rms.in}) in->fill([&](Index, Index j) { return many.in(5, j); });
  many.forward(), one.forward(), many_rms.forward(), one_rms.forward();
  for (Index j = 0; j < kCutCols; ++j) {
    REQUIRE(one.out(0, j) == many.out(5, j));
    REQUIRE(one_rms.out(0, j) == many_rms.out(5, j));
  }
}

TEST_CASE("norms: nothing to do, and broken contracts") {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{0, 4}, {3, 0}}) {
    Norm p(rows, cols, 1.0);
    RmsNorm q(rows, cols, 1.0);
    p.forward(2), p.backward(2), q.forward(2), q.backward(2);
    REQUIRE((p.intact() && q.intact()));
    for (Index r = 0; r < rows; ++r)
      REQUIRE(
          (std::isnan(p.mean(0, r)) && std::isnan(p.rstd(0, r)) && std::isnan(q.rstd(0, r))));  // as before
  }
  RmsNorm p(2, 4, 1.0);
  GuardedMatrix narrow(2, 3);
  Scratch none;
  ExecContext ctx{test_table(), 1, none};
  REQUIRE_THROWS_AS(rmsnorm_forward(ctx, narrow.ref(), p.rstd.data(), p.in.ref(), p.gain.data(), 0),
                    ContractError);
  REQUIRE_THROWS_AS(rmsnorm_backward(ctx, p.d_in.ref(), p.d_gain.data(), narrow.ref(), p.in.ref(),
                                     p.rstd.data(), p.gain.data()),
                    ContractError);
  REQUIRE_THROWS_AS(rmsnorm_backward(ctx, p.d_in.ref(), p.d_gain.data(), p.d_out.ref(), p.in.ref(),
                                     p.rstd.data(), p.gain.data(), narrow.ref()),
                    ContractError);
  // No scratch.
  REQUIRE_THROWS_AS(rmsnorm_backward(ctx, p.d_in.ref(), p.d_gain.data(), p.d_out.ref(), p.in.ref(),
                                     p.rstd.data(), p.gain.data()),
                    ContractError);
}
