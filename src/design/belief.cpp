#include "design/belief.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "fit/noise.hpp"

namespace loglog::design {
namespace {

constexpr double kNoise = 0.005;

const std::map<std::string, double>& stated_constants() {
  static const std::map<std::string, double> constants = {
      {"E", 0.52}, {"A", 14.2}, {"alpha", 0.256}, {"B", 110}, {"beta", 0.337}};
  return constants;
}

std::shared_ptr<const fit::Law> law_of(const sweep::Goal& goal) {
  std::shared_ptr<const fit::Law> law = fit::law_named(goal.law);
  if (law->variables != std::vector<std::string>{"N", "D"})
    throw UsageError(
        fmt::format("{}: sweeps are designed for laws of N and D, not for {}", goal.place, goal.law));
  return law;
}

std::function<double(double)> noise_of(const sweep::Goal& goal) {
  if (goal.noise.empty()) return [](double) { return kNoise; };
  return fit::given_noise(goal.noise, {}).sigma;
}

}  // namespace

double Belief::loss(double N, double D) const {
  const double x[] = {N, D};
  return fit::predict(*law, theta, x);
}

Belief stated_belief(const sweep::Goal& goal) {
  Belief belief{law_of(goal)};
  if (goal.prior.empty() && goal.law != "chinchilla")
    throw UsageError(fmt::format("{}: of {} no constants are stated; goal.prior gives them, or --input runs",
                                 goal.place, goal.law));
  std::map<std::string, double> constants = goal.prior;
  if (goal.law == "chinchilla") constants.insert(stated_constants().begin(), stated_constants().end());
  belief.theta = fit::theta_of(*belief.law, constants);
  belief.noise = noise_of(goal);
  belief.source = "stated, nothing is fitted:";
  for (const auto& [name, value] : constants) belief.source += fmt::format(" {} = {:g}", name, value);
  return belief;
}

Belief fitted_belief(const sweep::Goal& goal, const fit::Table& runs) {
  fit::ProcedureOptions options;
  options.bootstrap = 0;
  const fit::FittedLaw fitted = fit::fit_law(law_of(goal), runs, options);
  const std::vector<double>& r = fitted.result.residuals;
  const double degrees = static_cast<double>(r.size()) - fitted.law->parameter_count();
  const double sd = std::sqrt(std::inner_product(r.begin(), r.end(), r.begin(), 0.0) / degrees);
  Belief belief{fitted.law, fitted.result.theta};
  belief.noise = goal.noise.empty() ? [sd](double) { return sd; } : noise_of(goal);
  belief.source = fmt::format("fitted to {} runs", fitted.result.n);
  return belief;
}

double stated_loss(double N, double D) {
  static const Belief belief = stated_belief({});
  return belief.loss(N, D);
}

}  // namespace loglog::design
