#include "fit/law.hpp"

#include <cmath>

#include "base/rng.hpp"
#include "fit/objective.hpp"
#include "fit/power_sum.hpp"
#include "support/catch.hpp"
#include "support/complex_step.hpp"

using namespace loglog;
using namespace loglog::fit;
using loglog::testing::Complex;

namespace {

// Laws that are sums of powers, written out as the papers print them, on complex numbers.
Complex log_loss_ref(const PowerSum& law, std::span<const Complex> theta, const double* log_x) {
  Complex sum = 0;
  const auto count = law.terms().size();
  for (std::size_t k = 0; k < count; ++k) {
    Complex term = std::exp(theta[k]);
    for (const Factor& factor : law.terms()[k]) {
      const Complex power = factor.exponent == kFixedOne
                                ? Complex(1)
                                : theta[count + static_cast<std::size_t>(factor.exponent)];
      term *= std::exp(-power * log_x[factor.variable]);
    }
    sum += term;
  }
  return law.outer() ? theta[static_cast<std::size_t>(law.parameter_count() - 1)] * std::log(sum)
                     : std::log(sum);
}

const PowerSum* as_power_sum(const Law& law) {
  return dynamic_cast<const PowerSum*>(law.form.get());
}

// Of a formula: where its starts would be, and losses that are numbers.
Vector some_theta(const Law& law, std::uint64_t seed) {
  const Rng rng(seed, 0);
  const PowerSum* const powers = as_power_sum(law);
  Vector theta{};
  for (int i = 0; i < law.parameter_count(); ++i) {
    const double z = rng.normal(static_cast<std::uint64_t>(i));
    const bool is_exponent = powers != nullptr ? i >= powers->coefficient_count() : true;
    theta[static_cast<std::size_t>(i)] = is_exponent ? 0.3 + 0.1 * std::abs(z) : z;
  }
  return theta;
}

}  // namespace

TEST_CASE("value and gradient of every sum of powers agree with the complex step") {
  for (const Law& law : laws()) {
    INFO(law.name);
    const PowerSum* const powers = as_power_sum(law);
    if (powers == nullptr) continue;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      const Vector theta = some_theta(law, seed);
      const double log_x[2] = {1.7 - static_cast<double>(seed), 0.4 * static_cast<double>(seed)};
      Vector gradient;
      const double value = law.form->log_loss(theta, log_x, &gradient, nullptr);
      const auto size = static_cast<std::size_t>(law.parameter_count());
      const std::span<const double> x(theta.data(), size);
      const auto expected = loglog::testing::gradient(
          [&](std::span<const Complex> z) { return log_loss_ref(*powers, z, log_x); }, x);
      const std::vector<Complex> real(x.begin(), x.end());
      REQUIRE(value == Approx(log_loss_ref(*powers, real, log_x).real()).epsilon(1e-13));
      REQUIRE(law.form->log_loss(theta, log_x, nullptr, nullptr) == value);
      for (std::size_t i = 0; i < size; ++i)
        REQUIRE(gradient[i] == Approx(expected[i]).epsilon(1e-11).margin(1e-13));
    }
  }
}

TEST_CASE("the gradient of every law is the derivative of its value") {
  constexpr double kStep = 1e-5;
  for (const Law& law : laws()) {
    INFO(law.name);
    const Vector theta = some_theta(law, 5);
    const double log_x[4] = {0.9, -0.7, 0.3, 0.5};
    Vector gradient;
    const double value = law.form->log_loss(theta, log_x, &gradient, nullptr);
    REQUIRE(std::isfinite(value));
    REQUIRE(law.form->log_loss(theta, log_x, nullptr, nullptr) == Approx(value).epsilon(1e-14));
    for (int j = 0; j < law.parameter_count(); ++j) {
      Vector up = theta, down = theta;
      up[static_cast<std::size_t>(j)] += kStep, down[static_cast<std::size_t>(j)] -= kStep;
      const double slope = (law.form->log_loss(up, log_x, nullptr, nullptr) -
                            law.form->log_loss(down, log_x, nullptr, nullptr)) /
                           (2 * kStep);
      REQUIRE(gradient[static_cast<std::size_t>(j)] == Approx(slope).epsilon(1e-7).margin(1e-9));
    }
  }
}

TEST_CASE("the Hessian of every law is the derivative of its gradient") {
  constexpr double kStep = 1e-5;  // central differences: error of order 1e-10
  for (const Law& law : laws()) {
    INFO(law.name);
    const Vector theta = some_theta(law, 3);
    const double log_x[4] = {-1.3, 0.8, 0.6, 0.9};
    Vector gradient, up, down;
    Matrix hessian;
    law.form->log_loss(theta, log_x, &gradient, &hessian);
    for (int j = 0; j < law.parameter_count(); ++j) {
      Vector moved = theta;
      moved[static_cast<std::size_t>(j)] += kStep;
      law.form->log_loss(moved, log_x, &up, nullptr);
      moved[static_cast<std::size_t>(j)] -= 2 * kStep;
      law.form->log_loss(moved, log_x, &down, nullptr);
      for (int i = 0; i < law.parameter_count(); ++i) {
        const auto k = static_cast<std::size_t>(i);
        REQUIRE(at(hessian, i, j) == Approx((up[k] - down[k]) / (2 * kStep)).epsilon(1e-7).margin(1e-8));
      }
    }
  }
}

TEST_CASE("centring is undone exactly and changes no prediction") {
  for (const Law& law : laws()) {
    const Vector theta = some_theta(law, 2);
    if (!law.form->is_centred()) continue;
    const std::vector<double> centres(law.variables.size(), 13.5);
    const std::vector<double> x(law.variables.size(), 2.0);
    std::vector<double> shifted;
    for (const double value : x) shifted.push_back(value - 13.5);
    const Vector raw = law.form->restore(theta, centres);
    REQUIRE(law.form->log_loss(raw, x.data(), nullptr, nullptr) ==
            Approx(law.form->log_loss(theta, shifted.data(), nullptr, nullptr)));
    const Vector back = law.form->centre(raw, centres);
    for (int i = 0; i < law.parameter_count(); ++i) {
      REQUIRE(back[static_cast<std::size_t>(i)] == Approx(theta[static_cast<std::size_t>(i)]).margin(1e-12));
    }
  }
}

TEST_CASE("laws have distinct names and stay within the fixed sizes") {
  for (const Law& law : laws()) {
    REQUIRE(find_law(law.name) == &law);
    REQUIRE(law.parameter_count() <= kMaxParameters);
    REQUIRE(!law.params.empty());
  }
  REQUIRE(find_law("nonsense") == nullptr);
}

TEST_CASE("gradient and Hessian of the objective follow from its values") {
  const Law& law = *find_law("chinchilla");
  const Points points(law, {{1e3, 1e4, 1e5, 3e3}, {1e5, 2e5, 1e6, 7e5}},
                      std::vector<double>{3.0, 2.5, 2.0, 2.4});
  const std::vector<double> weights = {1, 2, 0, 1};
  const Huber huber{0.05};
  const Vector theta = some_theta(law, 4);
  const Expansion e = expand(points, weights, huber, theta);
  REQUIRE(e.value == Approx(objective(points, weights, huber, theta)));
  for (int i = 0; i < law.parameter_count(); ++i) {
    Vector up = theta, down = theta;
    up[static_cast<std::size_t>(i)] += 1e-6;
    down[static_cast<std::size_t>(i)] -= 1e-6;
    const double slope =
        (objective(points, weights, huber, up) - objective(points, weights, huber, down)) / 2e-6;
    REQUIRE(e.gradient[static_cast<std::size_t>(i)] == Approx(slope).epsilon(1e-6).margin(1e-10));
    const Expansion at_up = expand(points, weights, huber, up);
    const Expansion at_down = expand(points, weights, huber, down);
    for (int j = 0; j < law.parameter_count(); ++j) {
      const auto k = static_cast<std::size_t>(j);
      REQUIRE(at(e.hessian, i, j) ==
              Approx((at_up.gradient[k] - at_down.gradient[k]) / 2e-6).epsilon(1e-5).margin(1e-8));
    }
  }
}
