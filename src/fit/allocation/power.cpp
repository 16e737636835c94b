#include "fit/allocation/power.hpp"

#include <fmt/ranges.h>

#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "fit/allocation/numbers_text.hpp"

namespace loglog::fit {
namespace {

const Quantity& quantity_named(const FittedLaw& fitted, const std::string& name) {
  std::vector<std::string> names;
  for (const auto* list : {&fitted.law->params, &fitted.law->optimum})
    for (const Quantity& item : *list) {
      if (item.name == name) return item;
      names.push_back(item.name);
    }
  throw UsageError(fmt::format("{} has no {}; it has {}", fitted.law->name, name, fmt::join(names, ", ")));
}

// 6 N D, where the law is of N and D.
double flops_of_all(const FittedLaw& fitted) {
  const Runs& runs = fitted.runs;
  if (runs.variables != std::vector<std::string>{"N", "D"}) return NAN;
  return 6 * std::inner_product(runs.columns[0].begin(), runs.columns[0].end(), runs.columns[1].begin(), 0.0);
}

}  // namespace

PowerAnswer runs_needed(const FittedLaw& fitted, const PowerQuestion& question) {
  const Quantity& quantity = quantity_named(fitted, question.quantity);
  const double error = fitted.result.intervals == nullptr ? NAN : fitted.result.intervals->error_of(quantity);
  if (!std::isfinite(error))
    throw InputError(
        fmt::format("the fit has no interval of {}, so none can be narrowed", question.quantity));
  const double units = fitted.runs.clusters, parameters = fitted.law->parameter_count();
  const double probability = (1 + question.level) / 2;
  const auto t = [&](double m) { return student_t_quantile(probability, m - parameters); };
  const double root = error * std::sqrt(units);
  PowerAnswer answer;
  answer.now = 2 * t(units) * root / std::sqrt(units);
  double m = units;
  for (int i = 0; i < 100; ++i)  // t depends on m, but weakly
    m = std::max(parameters + 1, std::pow(2 * t(m) * root / question.width, 2));
  answer.runs = std::ceil(m);
  answer.flops = std::max(0.0, answer.runs - units) * flops_of_all(fitted) / units;
  return answer;
}

nlohmann::ordered_json power_json(const FittedLaw& fitted, const PowerQuestion& q, const PowerAnswer& a) {
  nlohmann::ordered_json json = header_json(fitted);
  json["quantity"] = q.quantity;
  json["level"] = q.level;
  json["width"] = {{"now", a.now}, {"asked", q.width}};
  json["runs"] = {{"now", fitted.runs.clusters}, {"needed", a.runs}};
  json["flops_of_more"] = number_json(a.flops);
  return json;
}

std::string power_text(const FittedLaw& fitted, const PowerQuestion& q, const PowerAnswer& a) {
  std::string text = header_text(fitted);
  text += fmt::format("  the {:g}% interval of {} is {:.4g} wide with {} runs\n", 100 * q.level, q.quantity,
                      a.now, fitted.runs.clusters);
  if (a.runs <= fitted.runs.clusters)
    return text + fmt::format("  that is no wider than {:g}: no more are needed\n", q.width);
  text += fmt::format("  {:.6g} runs of this design would make it {:g} wide, {:.6g} more", a.runs, q.width,
                      a.runs - fitted.runs.clusters);
  if (std::isfinite(a.flops)) text += fmt::format(", about {:.3g} FLOPs", a.flops);
  return text + "\n  more runs narrow the sampling error alone, not what is wrong with the law\n";
}

}  // namespace loglog::fit
