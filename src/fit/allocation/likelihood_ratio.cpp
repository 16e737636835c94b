#include "fit/allocation/likelihood_ratio.hpp"

#include <fmt/format.h>

#include <cmath>

#include "base/stats.hpp"
#include "fit/allocation/numbers_text.hpp"

namespace loglog::fit {
namespace {

// Of the residuals inside delta; with fewer, the curvature of F says nothing about how F rises.
constexpr double kFewInside = 0.5;

double absolute_deviations(const Points& points, std::span<const double> weights, const Vector& theta) {
  double sum = 0;
  const std::vector<double> r = residuals(points, theta);
  for (std::size_t i = 0; i < r.size(); ++i) sum += weights[i] * std::abs(r[i]);
  return sum;
}

}  // namespace

// By the recurrence Q(a + 1, x) = Q(a, x) + x^a e^-x / Gamma(a + 1) of the incomplete gamma function (Abramowitz and Stegun 6.5.21).
double chi_square_tail(double x, int degrees) {
  const double half = x / 2;
  double a = degrees % 2 == 0 ? 1 : 0.5;
  double tail = degrees % 2 == 0 ? std::exp(-half) : std::erfc(std::sqrt(half));
  for (; a < degrees / 2.0 - 0.25; a += 1) tail += std::exp(a * std::log(half) - half - std::lgamma(a + 1));
  return tail;
}

LikelihoodRatio likelihood_ratio(const FittedLaw& fitted, const Vector& constants) {
  const Points points = fitted.points();
  const std::vector<double>& weights = fitted.runs.weight;
  const Vector best = fitted.centred(points), doubted = fitted.law->form->centre(constants, points.centres());
  const ResidualScale scale = residual_scale(points, weights, fitted.huber(), best);
  double n = 0;
  for (const double w : weights) n += w;
  LikelihoodRatio test;
  test.parameters = fitted.law->parameter_count();
  test.degrees = scale.degrees;
  test.laplace =
      2 * n *
      std::log(absolute_deviations(points, weights, doubted) / absolute_deviations(points, weights, best));
  test.laplace_p = chi_square_tail(std::max(0.0, test.laplace), test.parameters);
  const double rise = objective(points, weights, fitted.huber(), doubted) - fitted.result.objective;
  const double inside =
      1 / (scale.variance * scale.per_objective);  // share of the residuals that delta holds
  test.huber = inside < kFewInside ? NAN : 2 * rise * scale.per_objective / test.parameters;
  const double p = test.parameters, df = test.degrees, f = test.huber < 0 ? 0 : test.huber;
  test.huber_p = df < 1 || std::isnan(f) ? NAN : incomplete_beta(df / 2, p / 2, df / (df + p * f));
  return test;
}

nlohmann::ordered_json likelihood_ratio_json(const FittedLaw& fitted, const LikelihoodRatio& t) {
  nlohmann::ordered_json json = header_json(fitted);
  json["laplace"] = {{"statistic", t.laplace}, {"degrees", t.parameters}, {"p", number_json(t.laplace_p)}};
  json["huber"] = {{"statistic", number_json(t.huber)},
                   {"degrees", {t.parameters, t.degrees}},
                   {"p", number_json(t.huber_p)}};
  return json;
}

std::string likelihood_ratio_text(const FittedLaw& fitted, const LikelihoodRatio& t) {
  std::string text = header_text(fitted);
  text += fmt::format("  absolute deviations: likelihood ratio {:.4f}, chi-squared of {}: p = {:.2g}\n",
                      t.laplace, t.parameters, t.laplace_p);
  if (!std::isnan(t.huber))
    text += fmt::format("  objective of the fit: F = {:.4f} of ({}, {}): p = {:.2g}\n", t.huber, t.parameters,
                        t.degrees, t.huber_p);
  return text;
}

}  // namespace loglog::fit
