// Activations and gates of one ISA against plain loops in float64, derivatives against complex steps. Bounds: docs/kernels.md.
#include "kernels/rowwise/activation.hpp"

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

// An activation x / (1 + e^-z), x Phi(x) or ReLU, in float64 with the bounds of its value and derivative.
struct Curve {
  Activation act;
  const char* name;

  Complex at(Complex x) const {
    if (act == Activation::relu) return reference::relu_ref(x);
    if (act == Activation::gelu_erf) return reference::gelu_erf_ref(x);
    return act == Activation::gelu ? reference::gelu_ref(x) : reference::silu_ref(x);
  }
  double value(double x) const { return at(x).real(); }
  double slope(double x) const { return at(Complex(x, kComplexStep)).imag() / kComplexStep; }
  // |z| and |x z'|
  double z(double x) const {
    return act == Activation::gelu ? std::abs(1.5957691216057308 * x * (1 + 0.044715 * x * x)) : std::abs(x);
  }
  double xz(double x) const {
    return act == Activation::gelu ? std::abs(x) * 1.5957691216057308 * (1 + 3 * 0.044715 * x * x)
                                   : std::abs(x);
  }
  // Of x Phi(x): rounding of Phi(-|x|), relative, and where e^(-x^2/2) is taken as 0 (2^-126.5).
  double tail(double x) const { return reference::normal_cdf_ref(-std::abs(x)); }
  double tail_bound(double x) const { return u * (12 + 2.5 * x * x / 2); }
  double erf_value_bound(double x) const {
    const double small = std::abs(x) * tail(x);
    return tail_bound(x) * small + u * std::abs(value(x)) + std::min(std::abs(x), 16.0) * 0x1p-126;
  }
  double erf_slope_bound(double x) const {
    const double steep = std::abs(x) * std::exp(-x * x / 2) * 0.3989422804014327;  // |x| Phi'
    return tail_bound(x) * tail(x) + 2 * u * (x > 0 ? 1 : tail(x)) + u * (7 + 2.5 * x * x / 2) * steep +
           0x1p-122;
  }
  // z is held at +-115 ln 2 and a negative x at -16 or -80: what should be 0 is up to |x| 2^-115.
  double value_bound(double x) const {
    if (act == Activation::relu) return 0;
    if (act == Activation::gelu_erf) return erf_value_bound(x);
    const double amplified = 5 * z(x) / (1 + std::exp(std::min(x > 0 ? z(x) : 0.0, 700.0)));
    const double held = std::min(std::abs(x), act == Activation::gelu ? 16.0 : 80.0);
    return u * (amplified + 9) * std::abs(value(x)) + held * 0x1p-115;
  }
  // z is held at +-115 ln 2: what is lost is below (1 + |x| z') 2^-115 < 2^-105 where x is held.
  double slope_bound(double x) const {
    if (act == Activation::relu) return 0;
    if (act == Activation::gelu_erf) return erf_slope_bound(x);
    const double tail = 1 / (2 + std::exp(z(x)) + std::exp(-z(x)));  // s (1 - s)
    const double s = x >= 0 ? 1 / (1 + std::exp(-z(x))) : 1 / (1 + std::exp(z(x)));
    return u * (6 * s + (5 * z(x) + 6) * tail + (10 * z(x) + 16) * xz(x) * tail) + 0x1p-105;
  }
};
const Curve kCurves[] = {{Activation::relu, "relu"},
                         {Activation::gelu, "gelu"},
                         {Activation::silu, "silu"},
                         {Activation::gelu_erf, "gelu_erf"}};

struct Gated {
  GuardedMatrix gate, up, d_out, out, d_gate, d_up;
  Gated(Index rows, Index cols)
      : gate(rows, cols, 3),
        up(rows, cols, 1),
        d_out(rows, cols, 2),
        out(rows, cols, 1),
        d_gate(rows, cols, 2),
        d_up(rows, cols, 3) {
    fill_normal(gate, 1, 3), fill_normal(up, 2), fill_normal(d_out, 3);
  }
  void both(Activation act, int threads = 1) {
    run(threads, gate.rows(), gate.cols(), [&](ExecContext& ctx) {
      gated_forward(ctx, act, out.ref(), gate.ref(), up.ref());
      gated_backward(ctx, act, d_gate.ref(), d_up.ref(), d_out.ref(), gate.ref(), up.ref());
    });
  }
};

}  // namespace

TEST_CASE("activations and their derivatives, from -20 to 20 and of every width") {
  for (const Curve& curve : kCurves) {
    for (const Index n : {1, 7, 8, 15, 16, 17, 33, 1001}) {
      CAPTURE(curve.name, n);
      GuardedMatrix x(1, n), y(1, n), d_y(1, n), d_x(1, n);
      x.fill([&](Index, Index j) { return (n < 1001 ? double(j) - 3.5 : double(j) - 500) / 25; });
      fill_normal(d_y, 5);
      run(1, 1, n, [&](ExecContext& ctx) {
        activation_forward(ctx, curve.act, y.ref(), x.ref());
        activation_backward(ctx, curve.act, d_x.ref(), d_y.ref(), x.ref());
      });
      REQUIRE((y.intact() && d_x.intact()));
      if (n == 1 && curve.act == Activation::relu) continue;  // x < 0: nothing but zeros to compare
      REQUIRE(compare(n, [&](Index j) {
        return Element{y(0, j), curve.value(x(0, j)), curve.value_bound(x(0, j))};
      }));
      REQUIRE(compare(n, [&](Index j) {
        const double d = d_y(0, j);
        return Element{d_x(0, j), curve.slope(x(0, j)) * d, curve.slope_bound(x(0, j)) * std::abs(d)};
      }));
    }
  }
}

TEST_CASE("activations at the ends of float, at zero and of what is not a number") {
  const float infinity = std::numeric_limits<float>::infinity();
  const float inputs[] = {1e30f, -1e30f, 1e4f, -1e4f, 0.0f, std::nanf("")};
  const float forward[] = {1e30f, 0, 1e4f, 0, 0};
  for (const Curve& curve : kCurves) {
    const float slopes[] = {1, 0, 1, 0, curve.act == Activation::relu ? 0.0f : 0.5f};
    for (int i = 0; i < 6; ++i) {
      const float one = 1;
      float out, d_in, infinite;
      run(1, 1, 1, [&](ExecContext& ctx) {
        activation_forward(ctx, curve.act, {&out, 1, 1}, {&inputs[i], 1, 1});
        activation_backward(ctx, curve.act, {&d_in, 1, 1}, {&one, 1, 1}, {&inputs[i], 1, 1});
        activation_forward(ctx, curve.act, {&infinite, 1, 1}, {&infinity, 1, 1});
      });
      CAPTURE(curve.name, inputs[i]);
      REQUIRE(infinite == infinity);
      if (i == 5) {
        REQUIRE((std::isnan(out) && std::isnan(d_in)));
        continue;
      }
      REQUIRE(std::abs(out - forward[i]) < 1e-30f);
      REQUIRE(std::abs(d_in - slopes[i]) < 1e-30f);
      float d_gate, d_up;
      run(1, 1, 1, [&](ExecContext& ctx) {
        gated_backward(ctx, curve.act, {&d_gate, 1, 1}, {&d_up, 1, 1}, {&one, 1, 1}, {&inputs[i], 1, 1},
                       {&one, 1, 1});
      });
      REQUIRE(std::abs(d_up - forward[i]) <= 0x1p-108f);
      REQUIRE(d_gate == d_in);
    }
  }
}

TEST_CASE("gates of whole numbers are exact where the activation is") {
  for (const Index cols : kColumns) {
    Gated p(5, cols);
    fill_integer(p.gate, 1), fill_integer(p.up, 2), fill_integer(p.d_out, 3);
    p.both(Activation::relu);
    REQUIRE((p.out.intact() && p.d_gate.intact() && p.d_up.intact()));
    for (Index r = 0; r < 5; ++r) {
      for (Index j = 0; j < cols; ++j) {
        const float g = std::max(p.gate(r, j), 0.0f), step = p.gate(r, j) > 0 ? 1.0f : 0.0f;
        REQUIRE(p.out(r, j) == g * p.up(r, j));
        REQUIRE(p.d_gate(r, j) == p.d_out(r, j) * p.up(r, j) * step);
        REQUIRE(p.d_up(r, j) == p.d_out(r, j) * g);
      }
    }
  }
}

TEST_CASE("gates are within their bounds, their gradients against complex steps") {
  for (const Curve& curve : kCurves) {
    for (const Index cols : {1, 9, 16, 33}) {
      CAPTURE(curve.name, cols);
      const Index rows = 3, n = rows * cols;
      Gated p(rows, cols);
      p.both(curve.act);
      REQUIRE((p.out.intact() && p.d_gate.intact() && p.d_up.intact()));
      const auto g = p.gate.values(), w = p.up.values(), d = p.d_out.values(), out = p.out.values();
      REQUIRE(compare(n, [&](Index i) {
        const double exact = curve.value(g[i]) * w[i];
        return Element{out[i], exact, u * std::abs(exact) + curve.value_bound(g[i]) * std::abs(w[i])};
      }));
      std::vector<double> x(g.begin(), g.end()), actual;  // gate, then up
      x.insert(x.end(), w.begin(), w.end());
      for (const auto* m : {&p.d_gate, &p.d_up})
        for (const float v : m->values()) actual.push_back(v);
      const auto loss = [&](std::span<const Complex> z) {
        Complex sum = 0;
        for (Index i = 0; i < n; ++i) sum += curve.at(z[i]) * z[n + i] * double(d[i]);
        return sum;
      };
      const auto bound = [&](Index i) {
        const Index k = i % n;
        const double weight = std::abs(double(d[k]));
        if (i >= n) return weight * (u * std::abs(curve.value(g[k])) + curve.value_bound(g[k]) + 0x1p-108);
        return weight * std::abs(double(w[k])) *
               (2 * u * std::abs(curve.slope(g[k])) + curve.slope_bound(g[k]));
      };
      const auto expected = gradient(loss, x);
      REQUIRE(compare(2 * n, [&](Index i) { return Element{actual[i], expected[i], bound(i)}; }));
      const auto direction = normal_values(x.size(), 8);
      REQUIRE(agrees_along(directional_derivative(loss, x, direction), actual, direction, bound));
    }
  }
}

TEST_CASE("activations and gates in place; gate and up as halves of one matrix") {
  for (const Index cols : {5, 16, 33}) {
    Gated p(3, cols);
    p.both(Activation::silu);
    GuardedMatrix gate(3, cols), up(3, cols), d_out(3, cols), forward(3, cols), both(3, 2 * cols),
        out(3, cols);
    copy_of(gate, p.gate), copy_of(up, p.up), copy_of(d_out, p.d_out), copy_of(forward, p.up);
    both.fill([&](Index i, Index j) { return j < cols ? p.gate(i, j) : p.up(i, j - cols); });
    run(1, 3, cols, [&](ExecContext& ctx) {
      gated_forward(ctx, Activation::silu, forward.ref(), gate.ref(), forward.ref());
      gated_forward(ctx, Activation::silu, out.ref(), both.ref().columns(0, cols),
                    both.ref().columns(cols, cols));
      gated_backward(ctx, Activation::silu, gate.ref(), d_out.ref(), d_out.ref(), gate.ref(), up.ref());
    });
    REQUIRE(compare_equal(forward.values(), p.out.values()));
    REQUIRE(compare_equal(out.values(), p.out.values()));
    REQUIRE(compare_equal(gate.values(), p.d_gate.values()));
    REQUIRE(compare_equal(d_out.values(), p.d_up.values()));
  }
}

TEST_CASE("activations: the same bits streamed, and with any number of threads") {
  for (const ActivationTiles* tiles : {&test_table().rowwise->relu, &test_table().rowwise->gelu,
                                       &test_table().rowwise->silu, &test_table().rowwise->gelu_erf}) {
    REQUIRE(same_bits_streamed(3, [&](GuardedMatrix& out, Stores stores) {
      tiles->forward(out.ref(), Gated(3, out.cols()).gate.ref(), stores);
    }));
    REQUIRE(same_bits_streamed(3, [&](GuardedMatrix& out, Stores stores) {
      Gated p(3, out.cols());
      tiles->backward(out.ref(), p.d_out.ref(), p.gate.ref(), stores);
    }));
    REQUIRE(same_bits_streamed(3, [&](GuardedMatrix& out, Stores stores) {
      Gated p(3, out.cols());
      tiles->gated_forward(out.ref(), p.gate.ref(), p.up.ref(), stores);
    }));
    // d_up on a boundary and off it (a gap of three).
    REQUIRE(same_bits_streamed(3, [&](GuardedMatrix& out, Stores stores) {
      Gated p(3, out.cols());
      GuardedMatrix d_up(3, out.cols());
      tiles->gated_backward(out.ref(), d_up.ref(), p.d_out.ref(), p.gate.ref(), p.up.ref(), stores);
      tiles->gated_backward(d_up.ref(), out.ref(), p.d_out.ref(), p.gate.ref(), p.up.ref(), stores);
      tiles->gated_backward(out.ref(), p.d_up.ref(), p.d_out.ref(), p.gate.ref(), p.up.ref(), stores);
    }));
  }
  REQUIRE(same_bits_for_threads([](int threads) {
    Gated p(kCutRows, kCutCols);
    std::vector<float> all;
    for (const Curve& curve : kCurves) {
      p.both(curve.act, threads);
      for (const auto* x : {&p.out, &p.d_gate, &p.d_up}) append(all, *x);
      run(threads, kCutRows, kCutCols, [&](ExecContext& ctx) {
        activation_forward(ctx, curve.act, p.out.ref(), p.gate.ref());
        activation_backward(ctx, curve.act, p.d_gate.ref(), p.d_out.ref(), p.gate.ref());
      });
      for (const auto* x : {&p.out, &p.d_gate}) append(all, *x);
    }
    return all;
  }));
}

TEST_CASE("activations: nothing to do, and broken contracts") {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{0, 4}, {3, 0}}) {
    Gated p(rows, cols);
    p.both(Activation::gelu, 2);
    REQUIRE((p.out.intact() && p.d_gate.intact() && p.d_up.intact()));
  }
  Gated p(2, 4);
  GuardedMatrix narrow(2, 3);
  run(1, 2, 4, [&](ExecContext& ctx) {
    const auto gelu = Activation::gelu;
    REQUIRE_THROWS_AS(activation_forward(ctx, gelu, narrow.ref(), p.gate.ref()), ContractError);
    REQUIRE_THROWS_AS(activation_forward(ctx, Activation(7), p.out.ref(), p.gate.ref()), ContractError);
    REQUIRE_THROWS_AS(activation_backward(ctx, gelu, p.out.ref(), narrow.ref(), p.gate.ref()), ContractError);
    REQUIRE_THROWS_AS(gated_forward(ctx, gelu, p.out.ref(), p.gate.ref(), narrow.ref()), ContractError);
    REQUIRE_THROWS_AS(
        gated_backward(ctx, gelu, p.d_gate.ref(), narrow.ref(), p.d_out.ref(), p.gate.ref(), p.up.ref()),
        ContractError);
    ExecContext no_threads{test_table(), 0, ctx.scratch};
    REQUIRE_THROWS_AS(activation_forward(no_threads, gelu, p.out.ref(), p.gate.ref()), ContractError);
  });
}
