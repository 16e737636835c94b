#include "fit/noise.hpp"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "base/error.hpp"
#include "base/expression.hpp"
#include "base/stats.hpp"
#include "fit/regression.hpp"

namespace loglog::fit {
namespace {

// Mean and variance of ln(chi^2_nu / nu), by the recurrences of digamma and trigamma from nu = 1 and 2.
struct LogChiSquare {
  double mean;
  double variance;
};
LogChiSquare log_chi_square(int nu) {
  constexpr double kPi = std::numbers::pi;
  const bool odd = nu % 2 == 1;
  double digamma = odd ? -std::numbers::egamma - 2 * std::numbers::ln2 : -std::numbers::egamma;
  double trigamma = odd ? kPi * kPi / 2 : kPi * kPi / 6;
  for (double x = odd ? 0.5 : 1.0; x < 0.5 * nu; x += 1) {
    digamma += 1 / x;
    trigamma -= 1 / (x * x);
  }
  return {digamma - std::log(0.5 * nu), trigamma};
}

}  // namespace

SeedNoise given_noise(const std::string& formula, const std::vector<double>& sizes) {
  const Expression expression(formula, "--sigma");
  for (const std::string& variable : expression.variables()) {
    if (variable != "N")
      throw UsageError(fmt::format("--sigma '{}': only N may appear, not '{}'", formula, variable));
  }
  const bool uses_n = !expression.variables().empty();
  auto sigma = [expression, uses_n](double N) {
    return expression.evaluate(uses_n ? std::vector<double>{N} : std::vector<double>{});
  };
  for (const double N : sizes) {
    if (const double s = sigma(N); !(s > 0 && std::isfinite(s))) {
      throw UsageError(fmt::format("--sigma '{}' is {} at N = {}; it must be positive", formula, s, N));
    }
  }
  return {sigma, INFINITY, "given seed noise " + formula};
}

std::optional<SeedNoise> estimated_noise(const std::vector<Replicate>& replicates) {
  struct Cell {
    double N = 0;
    std::vector<double> log_loss;
  };
  std::map<std::pair<int, double>, Cell> cells;
  for (const Replicate& r : replicates) {
    Cell& cell = cells[{r.cell, r.N}];
    cell.N = r.N;
    cell.log_loss.push_back(std::log(r.loss));
  }
  std::vector<double> x;
  std::vector<double> y;
  std::vector<double> weight;
  std::set<double> sizes;
  double squares = 0;
  int total_df = 0;
  for (const auto& [key, cell] : cells) {
    const int nu = static_cast<int>(cell.log_loss.size()) - 1;
    if (nu < 1) continue;
    const double s2 = std::max(variance(cell.log_loss), 1e-16);
    const LogChiSquare bias = log_chi_square(nu);
    x.push_back(std::log(cell.N));
    y.push_back(std::log(s2) - bias.mean);
    weight.push_back(1 / bias.variance);
    sizes.insert(cell.N);
    squares += nu * s2;
    total_df += nu;
  }
  if (total_df < 3) return std::nullopt;
  if (sizes.size() < 3 || total_df < 8) {
    const double s = std::sqrt(squares / total_df);
    return SeedNoise{[s](double) { return s; }, static_cast<double>(total_df),
                     fmt::format("seed noise {:.2g} from {} repeats", s, total_df)};
  }
  const Line line = fit_line(x, y, weight);
  auto sigma = [line](double N) { return std::exp(0.5 * (line.intercept + line.slope * std::log(N))); };
  return SeedNoise{sigma, static_cast<double>(total_df - 1),
                   fmt::format("seed noise {:.2g} N^{:.2g} from {} repeats", std::exp(0.5 * line.intercept),
                               0.5 * line.slope, total_df)};
}

}  // namespace loglog::fit
