#include "studies/format.hpp"

#include <fmt/format.h>

#include <cmath>

namespace loglog::studies {

std::string number(double x, int digits) {
  return std::isnan(x) ? "-" : fmt::format("{:.{}g}", x, digits);
}

std::string percent(double share, int digits) {
  return std::isnan(share) ? "-" : number(100 * share, digits) + "%";
}

std::string with_interval(const Measure& m, int digits, double unit) {
  const double low = m.quantile(0.025), high = m.quantile(0.975);
  std::string text = number(m.value / unit, digits);
  if (low != m.value || high != m.value)
    text += fmt::format(" [{}, {}]", number(low / unit, digits), number(high / unit, digits));
  if (m.undefined > 0) text += fmt::format(", no number in {} of resamples", percent(m.undefined));
  return text;
}

}  // namespace loglog::studies
