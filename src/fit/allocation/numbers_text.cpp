#include "fit/allocation/numbers_text.hpp"

#include <fmt/format.h>

#include <cmath>

namespace loglog::fit {

nlohmann::ordered_json number_json(double value) {
  if (std::isfinite(value)) return value;
  return nullptr;
}

nlohmann::ordered_json interval_json(const Interval& interval) {
  return {{"value", number_json(interval.value)},
          {"lo", number_json(interval.low)},
          {"hi", number_json(interval.high)}};
}

namespace {

std::string range_text(const Interval& interval) {
  if (std::isnan(interval.low) && std::isnan(interval.high)) return "";
  const auto end = [](double x) { return std::isfinite(x) ? fmt::format("{:.5g}", x) : std::string("-"); };
  return fmt::format(" [{}, {}]", end(interval.low), end(interval.high));
}

}  // namespace

std::string interval_text(const Interval& interval) {
  return fmt::format("  {:<10} {:>12.6g}  {}\n", interval.name, interval.value, range_text(interval));
}

std::string factor_text(const Interval& factor, const std::string& unit) {
  if (std::isinf(factor.value)) return "more than any compute";
  return fmt::format("{:.4g}{} {}", factor.value, range_text(factor), unit);
}

nlohmann::ordered_json header_json(const FittedLaw& fitted) {
  const FitResult& r = fitted.result;
  return {{"law", r.law},
          {"n", r.n},
          {"identified", r.identified},
          {"warnings", r.warnings},
          {"interval", {{"confidence", kConfidence}, {"method", r.interval_method}, {"seed", r.seed}}}};
}

std::string header_text(const FittedLaw& fitted) {
  const FitResult& r = fitted.result;
  std::string text = fmt::format("{}: {}   ({})\n", r.law, r.formula,
                                 r.n > 0 ? fmt::format("{} points", r.n) : std::string("constants given"));
  if (!r.interval_method.empty()) text += fmt::format("95% intervals: {}\n", r.interval_method);
  return text;
}

}  // namespace loglog::fit
