#include "fit/allocation/frontier.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "base/error.hpp"
#include "base/expression.hpp"
#include "fit/allocation/search.hpp"

namespace loglog::fit {
namespace {

constexpr double kMostLogCompute = 230;  // 1e100: what takes more is never reached

}  // namespace

TokenCost::TokenCost(const std::string& formula) {
  const auto expression = std::make_shared<const Expression>(formula, "--flops-per-token");
  for (const std::string& variable : expression->variables())
    if (variable != "N")
      throw UsageError(fmt::format("--flops-per-token '{}': only N may appear, not '{}'", formula, variable));
  const bool has_n = !expression->variables().empty();
  flops_ = [expression, has_n](double N) {
    return expression->evaluate(has_n ? std::vector<double>{N} : std::vector<double>{});
  };
  if (!(flops_(1e6) > 0))
    throw UsageError(fmt::format("--flops-per-token '{}' is not positive at N = 1e6", formula));
}

Frontier::Frontier(const Law& law, TokenCost cost) : law_(&law), cost_(std::move(cost)) {
  for (const std::string& variable : law.variables)
    if (variable != "N" && variable != "D" && variable != "C" && variable != "M")
      throw UsageError(fmt::format("{} depends on {}: compute can be divided by laws of N and D alone",
                                   law.name, variable));
  if (law.variables.size() != 2)
    throw UsageError(fmt::format("{} is of {} alone: compute is divided between N and D", law.name,
                                 law.variables.front()));
}

double Frontier::log_loss(const Vector& theta, double log_N, double log_D) const {
  std::array<double, 2> x{};
  for (std::size_t v = 0; v < x.size(); ++v) {
    const char name = law_->variables[v].front();
    x[v] = name == 'N'   ? log_N
           : name == 'D' ? log_D
           : name == 'M' ? log_D - log_N
                         : std::log(cost_(std::exp(log_N))) + log_D;
  }
  return law_->form->log_loss(theta, x.data(), nullptr, nullptr);
}

double Frontier::loss(const Vector& theta, double N, double D) const {
  return std::exp(log_loss(theta, std::log(N), std::log(D)));
}

Allocation Frontier::best(const Vector& theta, double C) const {
  constexpr int kGrid = 128;
  const auto loss_at = [&](double log_N) {
    return log_loss(theta, log_N, std::log(C / cost_(std::exp(log_N))));
  };
  const double step = std::log(C) / kGrid;  // from one parameter to all compute on one token
  int least = 0;
  double lowest = INFINITY;
  for (int i = 0; i <= kGrid; ++i)
    if (const double value = loss_at(i * step); value < lowest) least = i, lowest = value;
  if (least == 0 || least == kGrid) return {NAN, NAN, NAN};
  const double log_N = minimum_between((least - 1) * step, (least + 1) * step, loss_at), N = std::exp(log_N);
  return {N, C / cost_(N), std::exp(loss_at(log_N))};
}

Frontier::Range Frontier::indifferent(const Vector& theta, double C, double share) const {
  const Allocation optimum = best(theta, C);
  const double limit = std::log(optimum.loss) + std::log1p(share), middle = std::log(optimum.N);
  if (std::isnan(limit)) return {NAN, NAN};
  const auto over = [&](double log_N) {
    return log_loss(theta, log_N, std::log(C / cost_(std::exp(log_N)))) - limit;
  };
  const auto away = [&](double sign) {
    double far = 1;
    while (over(middle + sign * far) < 0 && far < kMostLogCompute) far *= 2;
    return std::exp(middle + sign * root_between(0, far, [&](double d) { return over(middle + sign * d); }));
  };
  return {away(-1), away(1)};
}

double Frontier::compute_of_size(const Vector& theta, double N, double loss) const {
  const double log_N = std::log(N), limit = std::log(loss), log_cost = std::log(cost_(N));
  const auto missing = [&](double log_C) { return limit - log_loss(theta, log_N, log_C - log_cost); };
  if (missing(kMostLogCompute) < 0) return INFINITY;
  return std::exp(root_between(log_cost, kMostLogCompute, missing));
}

double Frontier::compute_of_best(const Vector& theta, double loss) const {
  const auto missing = [&](double log_C) { return loss - best(theta, std::exp(log_C)).loss; };
  if (!(missing(kMostLogCompute) >= 0)) return INFINITY;
  return std::exp(root_between(std::log(cost_(1.0)) + 3, kMostLogCompute, missing));
}

}  // namespace loglog::fit
