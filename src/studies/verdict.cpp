#include "studies/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/stats.hpp"

namespace loglog::studies {
namespace {

// One-sided bootstrap p-value of "this holds": how much of the distribution contradicts (Davison and Hinkley 1997, equation 4.11).
template <class Contradicts>
double p_value(const Measure& m, Contradicts&& contradicts) {
  if (m.samples.empty()) return contradicts(m.value) ? 1.0 : 0.0;
  const auto count = std::ranges::count_if(m.samples, contradicts);
  return (static_cast<double>(count) + 1) / (static_cast<double>(m.samples.size()) + 1);
}

bool in_band(const Measure& m, double x) {
  return x >= m.low && x <= m.high;  // a NaN is not
}

// +1 where the effect raises the number above its null, -1 where it lowers it.
double direction(const Measure& m) {
  const double target = std::isfinite(m.low) ? m.low : m.high;
  return target >= m.null ? 1.0 : -1.0;
}

double effect(const Measure& m, double x) {
  return (x - m.null) * direction(m);
}

double p_outside(const Measure& m) {
  return p_value(m, [&](double x) { return !in_band(m, x); });
}

enum class State { met, effect, absent, against, unsure };

// `p_band` is the adjusted p-value of all bands of the claim, `alpha` the level of single questions.
State state_of(const Measure& m, double p_band, double alpha) {
  if (in_band(m, m.value) && (p_band <= kFamilyError || p_outside(m) <= alpha)) return State::met;
  const bool has_null = !std::isnan(m.null);
  if (!has_null)
    return p_value(m, [&](double x) { return in_band(m, x); }) <= alpha ? State::against : State::unsure;
  if (p_value(m, [&](double x) { return !(effect(m, x) < 0); }) <= alpha) return State::against;
  if (p_value(m, [&](double x) { return !(effect(m, x) < m.least); }) <= alpha) return State::absent;
  if (p_value(m, [&](double x) { return !(effect(m, x) > 0); }) <= alpha) return State::effect;
  return State::unsure;
}

double worst_p(const Finding& f) {
  double worst = 0;
  for (const Measure& m : f.measures) worst = std::max(worst, p_outside(m));
  return worst;
}

// Holm's adjusted p-values of the findings that can be tested; 1 for the others.
std::vector<double> adjusted(const std::vector<Finding>& findings) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < findings.size(); ++i)
    if (findings[i].untestable.empty()) order.push_back(i);
  std::ranges::sort(order, {}, [&](std::size_t i) { return worst_p(findings[i]); });
  std::vector<double> result(findings.size(), 1.0);
  double largest = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    largest = std::max(largest, static_cast<double>(order.size() - rank) * worst_p(findings[order[rank]]));
    result[order[rank]] = std::min(1.0, largest);
  }
  return result;
}

std::string asked(const Measure& m) {
  if (!std::isfinite(m.low)) return fmt::format("at most {:.4g}", m.high);
  if (!std::isfinite(m.high)) return fmt::format("at least {:.4g}", m.low);
  return fmt::format("{:.4g} to {:.4g}", m.low, m.high);
}

std::string why_not(const Measure& m, std::string_view what) {
  return fmt::format("{} is {:.4g}, asked for {}: {}", m.name, m.value, asked(m), what);
}

void judge_one(Finding& f, double p_band, double alpha) {
  bool all_met = true, all_show = true;
  f.why.clear();
  for (const Measure& m : f.measures) {
    const State state = state_of(m, p_band, alpha);
    if (state == State::met) continue;
    all_met = false;
    if (state == State::against || state == State::absent) {
      f.verdict = state == State::against ? Verdict::contradicted : Verdict::not_at_this_scale;
      f.why = why_not(m, state == State::against ? "the opposite" : "smaller than what counts as an effect");
      return;
    }
    if (f.why.empty() || state == State::unsure)
      f.why = why_not(
          m, state == State::effect ? "the effect is there, not in this band" : "the interval covers both");
    all_show = all_show && state == State::effect;
  }
  f.verdict = all_met ? Verdict::reproduced : all_show ? Verdict::partial : Verdict::underpowered;
  if (all_met) f.why = p_band > 0 ? fmt::format("all inside, p {:.1e}", p_band) : "all inside, exact";
}

}  // namespace

std::string_view name_of(Verdict verdict) {
  constexpr std::string_view kNames[] = {"REPRODUCED",   "PARTIAL",      "NOT AT THIS SCALE",
                                         "CONTRADICTED", "UNDERPOWERED", "NOT TESTABLE"};
  return kNames[static_cast<int>(verdict)];
}

double Measure::quantile(double p) const {
  return samples.empty() ? value : loglog::quantile(samples, p);
}

void judge(std::vector<Finding>& findings, const std::vector<Control>& controls) {
  const auto failed = std::ranges::find(controls, false, &Control::behaved);
  const std::vector<double> p = adjusted(findings);
  const auto testable =
      std::ranges::count_if(findings, [](const Finding& f) { return f.untestable.empty(); });
  const double alpha = kFamilyError / static_cast<double>(std::max<std::ptrdiff_t>(1, testable));
  for (std::size_t i = 0; i < findings.size(); ++i) {
    Finding& f = findings[i];
    if (failed != controls.end()) {
      f.verdict = Verdict::not_testable;
      f.why = fmt::format("the control '{}' misbehaved: {}", failed->name, failed->text);
    } else if (!f.untestable.empty()) {
      f.verdict = Verdict::not_testable;
      f.why = f.untestable;
    } else {
      judge_one(f, p[i], alpha);
    }
  }
}

Verdict overall(const std::vector<Finding>& findings) {
  const auto count = [&](Verdict v) { return std::ranges::count(findings, v, &Finding::verdict); };
  if (count(Verdict::reproduced) == std::ssize(findings)) return Verdict::reproduced;
  if (count(Verdict::reproduced) + count(Verdict::partial) > 0) return Verdict::partial;
  for (const Verdict v : {Verdict::contradicted, Verdict::not_at_this_scale, Verdict::underpowered})
    if (count(v) > 0) return v;
  return Verdict::not_testable;
}

}  // namespace loglog::studies
