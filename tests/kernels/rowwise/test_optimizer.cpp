// Optimisers of one ISA against plain loops in float64, step by step, with the bounds of docs/kernels.md.
#include "kernels/rowwise/optimizer.hpp"

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

}  // namespace

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

namespace {

// The same for SGD: errors are carried from operation to operation, each of which adds u of its result and, where a product
// is not fused, u of the product.
struct SgdElement {
  double param, velocity = 0, param_bound = 0, velocity_bound = 0;

  void update(double grad, const SgdStep& s) {
    const double mu = s.momentum, decay = s.decoupled ? 0 : s.weight_decay, lr = s.lr;
    const double keep = s.decoupled ? 1 - lr * double(s.weight_decay) : 1;
    const double plain = grad * s.grad_scale, g = plain + decay * param;
    const double g_bound = u * (2 * std::abs(plain) + 2 * std::abs(decay * param)) + decay * param_bound;
    const double old_velocity = velocity;
    const double old_param = param;
    reference::sgd_ref(param, velocity, grad,
                       {lr, mu, double(s.weight_decay), double(s.grad_scale), s.nesterov, s.decoupled});
    velocity_bound = mu * velocity_bound + g_bound + u * (std::abs(mu * old_velocity) + std::abs(velocity));
    const double step = (keep * old_param - param) / lr;
    const double step_bound = s.nesterov ? mu * velocity_bound + g_bound +
                                               u * (std::abs(mu * velocity) + std::abs(g + mu * velocity))
                                         : velocity_bound;
    const double keep_bound = s.decoupled ? lr * double(s.weight_decay) + 2 * std::abs(keep) : 0;
    param_bound = std::abs(keep) * param_bound + u * keep_bound * std::abs(old_param);
    param_bound += lr * (step_bound + u * std::abs(step)) + u * std::abs(param);
  }
};

}  // namespace

TEST_CASE("sgd is within its bounds after every step: with and without momentum, Nesterov's, decay") {
  const bool decoupled = GENERATE(false, true);
  for (const float momentum : {0.0f, 0.9f}) {
    for (const bool nesterov : {false, true}) {
      for (const float decay : {0.0f, 0.125f}) {
        for (const Index n : {1, 7, 8, 9, 15, 16, 17, 100}) {
          GuardedMatrix param = guarded_vector(n), velocity = guarded_vector(n), grad = guarded_vector(n);
          fill_normal(param, 1);
          velocity.fill([](auto, auto) { return 0; });
          std::vector<SgdElement> exact;
          for (Index i = 0; i < n; ++i) exact.push_back({param(0, i)});
          const SgdStep step{0.25f, momentum, decay, nesterov, 0.3f, decoupled};
          for (int t = 0; t < 6; ++t) {
            CAPTURE(decoupled, momentum, nesterov, decay, n, t);
            fill_normal(grad, 10 + t);
            run(1, 1, n,
                [&](ExecContext& ctx) { sgd(ctx, param.data(), velocity.data(), grad.data(), n, step); });
            for (Index i = 0; i < n; ++i) exact[i].update(grad(0, i), step);
            REQUIRE((param.intact() && velocity.intact()));
            REQUIRE(compare(n, [&](Index i) {
              return Element{param(0, i), exact[i].param, exact[i].param_bound};
            }));
            REQUIRE(compare(n, [&](Index i) {
              return Element{velocity(0, i), exact[i].velocity, exact[i].velocity_bound};
            }));
          }
        }
      }
    }
  }
}

TEST_CASE("sgd of whole numbers is exact, and without a velocity what it is with momentum 0") {
  for (const Index n : kColumns) {
    for (const bool nesterov : {false, true}) {
      GuardedMatrix param = guarded_vector(n), velocity = guarded_vector(n), grad = guarded_vector(n),
                    alone = guarded_vector(n), unused = guarded_vector(n);
      fill_integer(param, 1), fill_integer(velocity, 2), fill_integer(grad, 3);
      copy_of(alone, param);
      std::vector<double> p, v;
      const auto at = [&](Index i) { return grad(0, i) * 2.0 + 0.5 * param(0, i); };
      for (Index i = 0; i < n; ++i) {
        v.push_back(0.5 * velocity(0, i) + at(i));
        p.push_back(param(0, i) - 0.25 * (nesterov ? at(i) + 0.5 * v.back() : v.back()));
      }
      unused.fill([](auto, auto) { return 0; });
      GuardedMatrix with_zero = guarded_vector(n);
      copy_of(with_zero, param);
      run(1, 1, n, [&](ExecContext& ctx) {
        sgd(ctx, param.data(), velocity.data(), grad.data(), n, {0.25f, 0.5f, 0.5f, nesterov, 2.0f});
        sgd(ctx, alone.data(), nullptr, grad.data(), n, {0.25f, 0.0f, 0.5f, nesterov, 2.0f});
        sgd(ctx, with_zero.data(), unused.data(), grad.data(), n, {0.25f, 0.0f, 0.5f, nesterov, 2.0f});
      });
      REQUIRE(compare_equal(param.values(), p));
      REQUIRE(compare_equal(velocity.values(), v));
      REQUIRE(compare_equal(alone.values(), with_zero.values()));
      REQUIRE((param.intact() && velocity.intact() && alone.intact()));
    }
  }
}

TEST_CASE(
    "decoupled decay of sgd takes its share of the parameter and enters no velocity: exact in whole "
    "numbers") {
  for (const Index n : kColumns) {
    GuardedMatrix param = guarded_vector(n), velocity = guarded_vector(n), grad = guarded_vector(n);
    fill_integer(param, 1), fill_integer(velocity, 2), fill_integer(grad, 3);
    std::vector<double> p, v;
    for (Index i = 0; i < n; ++i) {
      v.push_back(0.5 * velocity(0, i) + 2.0 * grad(0, i));
      p.push_back((1 - 0.25 * 0.5) * param(0, i) - 0.25 * v.back());
    }
    run(1, 1, n, [&](ExecContext& ctx) {
      sgd(ctx, param.data(), velocity.data(), grad.data(), n, {0.25f, 0.5f, 0.5f, false, 2.0f, true});
    });
    REQUIRE(compare_equal(param.values(), p));
    REQUIRE(compare_equal(velocity.values(), v));
    REQUIRE((param.intact() && velocity.intact()));
  }
}

TEST_CASE("optimisers: no bit depends on threads") {
  const Index n = kCutRows * kCutCols;
  REQUIRE(same_bits_for_threads([&](int threads) {
    GuardedMatrix param = guarded_vector(n), m = guarded_vector(n), v = guarded_vector(n),
                  grad = guarded_vector(n);
    fill_normal(param, 1), fill_normal(m, 2), fill_normal(grad, 4);
    v.fill([&](Index, Index j) { return double(m(0, j)) * m(0, j); });
    run(threads, 1, n, [&](ExecContext& ctx) {
      adamw(ctx, param.data(), m.data(), v.data(), grad.data(), n,
            {.lr = 0.01f, .weight_decay = 0.1f, .step = 3});
      sgd(ctx, param.data(), m.data(), grad.data(), n, {0.01f, 0.9f, 0.1f, true});
    });
    std::vector<float> all;
    for (const auto* x : {&param, &m, &v}) append(all, *x);
    return all;
  }));
}

TEST_CASE("optimisers: nothing to do, and broken contracts") {
  float x = 1, g = 1;
  run(1, 1, 1, [&](ExecContext& ctx) {
    adamw(ctx, nullptr, nullptr, nullptr, nullptr, 0, {});
    sgd(ctx, nullptr, nullptr, nullptr, 0, {});
    REQUIRE_THROWS_AS(adamw(ctx, &x, &x, &x, &g, 1, {.step = 0}), ContractError);
    REQUIRE_THROWS_AS(sgd(ctx, &x, nullptr, &g, 1, {.lr = 1.0f, .momentum = 0.5f}), ContractError);
    ExecContext no_threads{test_table(), 0, ctx.scratch};
    REQUIRE_THROWS_AS(sgd(no_threads, &x, nullptr, &g, 1, {}), ContractError);
  });
  REQUIRE(x == 1.0f);
}

TEST_CASE("adamw refuses a moment that is null") {
  float x = 1, m = 0, v = 0, g = 1;
  run(1, 1, 1, [&](ExecContext& ctx) {
    REQUIRE_THROWS_AS(adamw(ctx, &x, nullptr, &v, &g, 1, {.lr = 1.0f}), ContractError);
    REQUIRE_THROWS_AS(adamw(ctx, &x, &m, nullptr, &g, 1, {.lr = 1.0f}), ContractError);
  });
  REQUIRE(x == 1.0f);
}

TEST_CASE("adamw refuses decays of its moments outside [0, 1)") {
  float x = 1, m = 0, v = 0, g = 1;
  run(1, 1, 1, [&](ExecContext& ctx) {
    for (const float beta : {-0.1f, 1.0f, 1.5f, std::nanf("")}) {
      CAPTURE(beta);
      REQUIRE_THROWS_AS(adamw(ctx, &x, &m, &v, &g, 1, {.beta1 = beta}), ContractError);
      REQUIRE_THROWS_AS(adamw(ctx, &x, &m, &v, &g, 1, {.beta2 = beta}), ContractError);
    }
    REQUIRE_NOTHROW(adamw(ctx, &x, &m, &v, &g, 1, {.beta1 = 0.0f, .beta2 = 0.0f}));
  });
}
