#include "studies/samples.hpp"

#include <cmath>

#include "base/check.hpp"
#include "base/stats.hpp"

namespace loglog::studies {

std::vector<double> student_samples(double center, double scale, double degrees, std::size_t count) {
  std::vector<double> samples;
  for (std::size_t i = 0; i < count; ++i) {
    const double p = (static_cast<double>(i) + 0.5) / static_cast<double>(count);
    samples.push_back(center + scale * student_t_quantile(p, degrees));
  }
  return samples;
}

void set_samples(Measure& measure, double value, std::span<const double> drawn, double t) {
  std::vector<double> defined;
  for (const double x : drawn)
    if (std::isfinite(x)) defined.push_back(x);
  const double middle = median(defined), wider = t / normal_quantile(0.975);
  measure.value = value;
  measure.undefined = 1 - static_cast<double>(defined.size()) / static_cast<double>(drawn.size());
  measure.samples.clear();
  for (const double x : defined) measure.samples.push_back(value - wider * (x - middle));
}

Measure mean_of_pairs(std::string name, std::span<const double> differences) {
  const auto n = static_cast<double>(differences.size());
  LOGLOG_CHECK(n >= 2, "{} pairs", n);
  Measure m;
  m.name = std::move(name), m.value = mean(differences);
  m.samples = student_samples(m.value, std::sqrt(variance(differences) / n), n - 1);
  return m;
}

}  // namespace loglog::studies
