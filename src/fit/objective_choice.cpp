#include "fit/objective_choice.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "base/error.hpp"

namespace loglog::fit {
namespace {

// A residual of ln loss is never above 10, and none that matters below 1e-8.
constexpr double kLarge = 10, kSmall = 1e-8;

}  // namespace

Huber ObjectiveChoice::loss(double delta) const {
  switch (kind) {
    case Kind::lad:
      return {kSmall, 1, 1, raw};
    case Kind::lsq:
      return {kLarge, 1, 1, raw};
    case Kind::quantile:
      return {kSmall, 1 - tau, tau, raw};
    default:
      return {std::min(delta, kLarge), 1, 1, raw};
  }
}

double ObjectiveChoice::value(const Points& points, std::span<const double> weights, double delta,
                              const Vector& theta) const {
  const Huber huber = loss(delta);
  double sum = 0;
  for (int i = 0; i < points.size(); ++i) {
    const double r = residual(points, i, huber, theta), w = weights[static_cast<std::size_t>(i)];
    if (kind == Kind::huber)
      sum += w * huber.value(r);
    else
      sum += w * (kind == Kind::lsq ? r * r : std::abs(r) * huber.side(r));
  }
  return sum;
}

std::string ObjectiveChoice::name() const {
  const char* const of_raw = raw ? ", of raw loss" : "";
  switch (kind) {
    case Kind::lad:
      return fmt::format("absolute-sum{}", of_raw);
    case Kind::lsq:
      return fmt::format("squares-sum{}", of_raw);
    case Kind::quantile:
      return fmt::format("quantile-sum, tau = {:.4g}{}", tau, of_raw);
    default:
      return fmt::format("huber-sum{}", of_raw);
  }
}

ObjectiveChoice objective_named(std::string_view text, bool raw) {
  using Kind = ObjectiveChoice::Kind;
  constexpr std::string_view kQuantile = "quantile:";
  if (text == "huber") return {Kind::huber, 0.5, raw};
  if (text == "lad") return {Kind::lad, 0.5, raw};
  if (text == "lsq") return {Kind::lsq, 0.5, raw};
  if (text.starts_with(kQuantile)) {
    const std::string_view digits = text.substr(kQuantile.size());
    double tau = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), tau);
    if (parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size() && tau > 0 && tau < 1)
      return {Kind::quantile, tau, raw};
    throw UsageError(fmt::format("--objective '{}': TAU is a number between 0 and 1", text));
  }
  throw UsageError(fmt::format("--objective '{}': one of huber, lad, lsq, quantile:TAU", text));
}

}  // namespace loglog::fit
