// The findings in sentences. A number whose interval says nothing is not dressed up as a finding.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/sweep_report.hpp"

namespace loglog::report {
namespace {

constexpr double kFloorPrecision = 0.05;  // relative half-width above which a floor counts as not identified

const Estimate* find(const Estimates& estimates, std::string_view name) {
  const auto found =
      std::find_if(estimates.begin(), estimates.end(), [&](const auto& e) { return e.first == name; });
  return found == estimates.end() ? nullptr : &found->second;
}

std::string count_of(std::size_t n, std::string_view what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

void say_exponents(const LawFit& fit, std::vector<std::string>& sentences) {
  const Estimate* alpha = find(fit.params, "alpha");
  const Estimate* beta = find(fit.params, "beta");
  if (alpha != nullptr && beta != nullptr) {
    sentences.push_back(
        fmt::format("{} ({}): what size can still improve falls as N^-alpha with alpha = {}, what data can "
                    "still improve as D^-beta with beta = {}.",
                    fit.law, count_of(fit.runs, "run"), in_words(*alpha), in_words(*beta)));
  } else if (alpha != nullptr && !fit.variables.empty()) {
    sentences.push_back(fmt::format("{} ({}): loss falls as {}^-alpha with alpha = {}.", fit.law,
                                    count_of(fit.runs, "run"), fit.variables.front(), in_words(*alpha)));
  }
  if (const Estimate* a = find(fit.optimum, "a")) {
    std::string text = fmt::format("{}: the best size for a budget grows as C^{}", fit.law, in_words(*a));
    if (const Estimate* b = find(fit.optimum, "b")) text += fmt::format(", its tokens as C^{}", in_words(*b));
    sentences.push_back(text + ".");
  }
}

std::string known_floor_in_words(const KnownFloor& floor) {
  std::string text =
      floor.validation_loss
          ? fmt::format("the source's own loss on the validation tokens is {:.5g}", *floor.validation_loss)
          : fmt::format("the entropy rate of the source is {:.5g}", *floor.entropy_rate);
  if (floor.validation_loss && floor.entropy_rate)
    text +=
        fmt::format(" (on endlessly many tokens it would be the entropy rate, {:.5g})", *floor.entropy_rate);
  return text;
}

void say_floor(const LawFit& fit, const KnownFloor& floor, std::vector<std::string>& sentences) {
  const Estimate* fitted = find(fit.params, "E");
  if (fitted == nullptr) return;
  const auto known = floor.validation_loss ? floor.validation_loss : floor.entropy_rate;
  const double half_width = (fitted->hi - fitted->lo) / 2 / fitted->value;
  std::string text = fmt::format("{}: the fitted floor E is {} nats per token", fit.law, in_words(*fitted));
  if (!known) {
    sentences.push_back(text + ".");
    return;
  }
  text += "; " + known_floor_in_words(floor);
  if (!fitted->bounded() || !(half_width <= kFloorPrecision)) {
    text += ". The floor is not identified: ";
    text += fitted->bounded() ? fmt::format("its interval is {:.1f}% wide on each side, more than {:.0f}%.",
                                            100 * half_width, 100 * kFloorPrecision)
                              : "its interval does not close.";
  } else {
    const bool inside = fitted->lo <= *known && *known <= fitted->hi;
    text += inside ? fmt::format(", inside the interval (half-width {:.1f}%).", 100 * half_width)
                   : ", OUTSIDE the interval: the law or its interval is wrong here.";
  }
  sentences.push_back(text);
}

}  // namespace

bool Estimate::bounded() const {
  return std::isfinite(lo) && std::isfinite(hi);
}

std::string in_words(const Estimate& e) {
  const std::string value = short_number(e.value);
  if (std::isnan(e.lo) || std::isnan(e.hi)) return value + " (no interval)";
  if (e.bounded())
    return fmt::format("{} (95% interval {} to {})", value, short_number(e.lo), short_number(e.hi));
  if (std::isfinite(e.lo))
    return fmt::format("{} (95% interval from {}, open above)", value, short_number(e.lo));
  if (std::isfinite(e.hi))
    return fmt::format("{} (95% interval up to {}, open below)", value, short_number(e.hi));
  return value + " (95% interval open on both sides)";
}

std::vector<std::string> headline(const SweepReport& report) {
  std::vector<std::string> sentences;
  for (const LawFit& fit : report.fits) {
    if (!fit.refusal.empty()) {
      sentences.push_back(fmt::format("{}: not fitted. {}", fit.law, fit.refusal));
    } else if (!fit.identified) {
      sentences.push_back(fmt::format(
          "{} ({}): not identified. These runs do not determine its parameters; its numbers below "
          "describe this fit and nothing more.",
          fit.law, count_of(fit.runs, "run")));
    } else {
      say_exponents(fit, sentences);
      say_floor(fit, report.floor, sentences);
    }
  }
  if (report.fits.empty()) sentences.push_back("No law was fitted.");
  return sentences;
}

}  // namespace loglog::report
