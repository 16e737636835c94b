// The controls of the study `kaplan`: a world with a law, and one without.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/stats.hpp"
#include "fit/regression.hpp"
#include "studies/format.hpp"
#include "studies/kaplan_measures.hpp"

namespace loglog::studies {
namespace {

// Slope of ln y in ln x, and its standard error.
struct Slope {
  double value, error;
};
Slope slope_of(const std::vector<double>& x, const std::vector<double>& y) {
  std::vector<double> log_x, log_y;
  for (std::size_t i = 0; i < x.size(); ++i) log_x.push_back(std::log(x[i])), log_y.push_back(std::log(y[i]));
  const auto n = static_cast<double>(x.size());
  const fit::Line line = fit::fit_line(log_x, log_y, std::vector<double>(x.size(), 1));
  return {line.slope, std::sqrt(line.chi_square / (n - 2) / (variance(log_x) * (n - 1)))};
}

}  // namespace

Control planted_exponent(const fit::Table& runs, double floor, double alpha, const Manifest& m) {
  std::vector<double> excess;
  for (const double loss : runs.numbers("loss")) excess.push_back(loss - floor);
  const double truth = alpha / (1 + alpha);
  Control c{"a world of Zipf-weighted facts has the exponent that it was given", true, false, ""};
  if (std::ranges::any_of(excess, [](double x) { return !(x > 0); })) {
    c.text = "a loss is not above the world's own";
    return c;
  }
  const Slope slope = slope_of(runs.numbers("D"), excess);
  c.behaved = std::fabs(-slope.value / truth - 1) <= m("planted_error_most");
  c.text = fmt::format("loss above the world's own {} falls as D^-{} (standard error {}), {} was built in",
                       number(floor, 5), number(-slope.value), number(slope.error, 2), number(truth));
  return c;
}

Control no_law(const fit::Table& runs, double floor, const Manifest& m) {
  const std::vector<double> loss = runs.numbers("loss");
  double most = 0;
  for (const double x : loss) most = std::max(most, std::isfinite(x) ? std::fabs(x / floor - 1) : INFINITY);
  const double slope = slope_of(runs.numbers("N"), loss).value;
  Control c{"a table of pairs has a floor and no law of size", false, false, ""};
  c.behaved = most <= m("null_excess_most") && std::fabs(slope) <= m("null_slope_most");
  c.text = fmt::format("{} sizes, at most {} from the world's own loss {}; slope of ln loss in ln N {}",
                       loss.size(), percent(most), number(floor, 5), number(slope));
  return c;
}

}  // namespace loglog::studies
