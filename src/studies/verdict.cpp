#include "studies/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <optional>

#include "base/stats.hpp"

namespace loglog::studies {
namespace {

bool has(double bound) {
  return !std::isnan(bound);
}

// +1 where the effect raises the number above its null, -1 where it lowers it.
double direction(const Measure& m) {
  if (!std::isfinite(m.high)) return 1.0;
  if (!std::isfinite(m.low)) return -1.0;
  return m.low + m.high >= 2 * m.null ? 1.0 : -1.0;
}

// Of a NaN, all of these are false.
double effect(const Measure& m, double x) {
  return (x - m.null) * direction(m);
}
bool is_above(const Measure& m, double x) {
  return x >= m.low;
}
bool is_below(const Measure& m, double x) {
  return x <= m.high;
}
bool is_effect(const Measure& m, double x) {
  return effect(m, x) > 0;
}
bool meets(const Measure& m, double x) {
  return is_above(m, x) && is_below(m, x) && (!has(m.null) || is_effect(m, x));
}
bool misses(const Measure& m, double x) {
  return x < m.low || x > m.high;
}
bool falsifies(const Measure& m, double x) {
  return m.falsified >= m.high ? x > m.falsified : x < m.falsified;
}
bool bears_out(const Measure& m, double x) {  // not `falsified`
  return m.falsified >= m.high ? x < m.falsified : x > m.falsified;
}

using Predicate = bool (*)(const Measure&, double);

// One-sided bootstrap p-value where so many of the samples speak against what is asked (Davison and Hinkley 1997, equation 4.11).
double p_against(const Measure& m, std::size_t against) {
  const double p = (static_cast<double>(against) + 1) / (static_cast<double>(m.samples.size()) + 1);
  return m.undefined + (1 - m.undefined) * p;
}

// Of "it is so".
double p_value(const Measure& m, Predicate is_so) {
  if (std::isnan(m.value)) return 1.0;
  const auto against = [&](double x) { return !is_so(m, x); };
  if (m.samples.empty()) return against(m.value) ? 1.0 : m.undefined;
  return p_against(m, static_cast<std::size_t>(std::ranges::count_if(m.samples, against)));
}

// Of "the measure is met": all of what that takes must be so (intersection-union).
double p_met(const Measure& m) {
  if (!meets(m, m.value)) return 1.0;
  return std::max({p_value(m, is_above), p_value(m, is_below), has(m.null) ? p_value(m, is_effect) : 0.0});
}

// What one-sided tests at alpha do not exclude: a number lies in it unless the p-value of being above it, or below, is at most alpha.
struct Interval {
  double low = -Measure::kInfinity, high = Measure::kInfinity;
};
Interval interval_of(const Measure& m, double alpha) {
  const std::size_t n = m.samples.size();
  auto outside =
      std::min(n, static_cast<std::size_t>(alpha * (static_cast<double>(n) + 1)) + 1);  // at either end
  while (outside > 0 && p_against(m, outside - 1) > alpha) --outside;
  if (outside == 0) return {};
  const auto ordered = [&](double in_place_of_nan) {
    std::vector<double> x = m.samples;
    std::ranges::replace_if(
        x, [](double v) { return std::isnan(v); }, in_place_of_nan);
    std::ranges::sort(x);
    return x;
  };
  return {ordered(-Measure::kInfinity)[outside - 1], ordered(Measure::kInfinity)[n - outside]};
}

enum class State { met, there, outside, absent, against, unsure };

State state_of(const Measure& m, double alpha) {
  const auto sure = [&](Predicate is_so) { return p_value(m, is_so) <= alpha; };
  if (p_met(m) <= alpha) return State::met;
  if (has(m.falsified) ? sure(falsifies) : sure([](const Measure& n, double x) { return effect(n, x) < 0; }))
    return State::against;
  if (has(m.null)) {
    if (sure([](const Measure& n, double x) { return effect(n, x) < n.least; })) return State::absent;
    if (sure(is_effect)) return State::there;
  } else if (has(m.falsified)) {
    if (sure(bears_out)) return State::there;
  } else if (sure(misses)) {
    return State::outside;
  }
  return State::unsure;
}

std::vector<State> states_of(const Finding& f, double alpha) {
  std::vector<State> states;
  for (const Measure& m : f.measures) states.push_back(state_of(m, alpha));
  return states;
}

bool can_be_judged(const Finding& f) {
  return f.untestable.empty() && !f.measures.empty();
}

// p-value of "every measure is met".
double worst_p(const Finding& f) {
  double worst = 0;
  for (const Measure& m : f.measures) worst = std::max(worst, p_met(m));
  return worst;
}

// Holm's adjusted p-values of the findings that can be judged; 1 for the others.
std::vector<double> adjusted(const std::vector<Finding>& findings) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < findings.size(); ++i)
    if (can_be_judged(findings[i])) order.push_back(i);
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

// Why nothing can be said of a measure.
std::string unsure_words(const Measure& m, double alpha) {
  if (std::isnan(m.value)) return "no number";
  if (m.undefined > alpha)
    return fmt::format("{:.3g}% of its resamples are no number, which speaks against whatever is asked",
                       100 * m.undefined);
  if (m.samples.empty()) return "exactly where what is asked for begins";
  if (p_against(m, 0) > alpha)
    return fmt::format("its {} resamples are too few for p = {:.1e}", m.samples.size(), alpha);
  if (has(m.null) && m.least > 0)
    return fmt::format(
        "the interval covers both {:.4g}, no effect, and {:.4g}, from which on an effect counts", m.null,
        m.null + direction(m) * m.least);
  if (has(m.null)) return fmt::format("the interval covers both sides of {:.4g}, no effect", m.null);
  if (has(m.falsified))
    return fmt::format("the interval covers both sides of {:.4g}, beyond which the claim is false",
                       m.falsified);
  return "neither surely in that band nor surely outside";
}

std::string words_for(State state, const Measure& m, double alpha) {
  switch (state) {
    case State::met:
      return "inside";
    case State::there:
      return has(m.null) ? "an effect, not surely in that band" : "not false, not surely in that band";
    case State::outside:
      return "outside the band";
    case State::absent:
      return fmt::format("less than {:.4g}, from which on an effect counts", m.null + direction(m) * m.least);
    case State::against:
      return has(m.falsified) ? fmt::format("beyond {:.4g}: the claim is false", m.falsified)
                              : fmt::format("the opposite, on the other side of {:.4g}", m.null);
    case State::unsure:
      return unsure_words(m, alpha);
  }
  return {};
}

// "99.8% interval 1 to 2": how sure a verdict is of both ends together.
std::string interval_words(const Measure& m, double alpha) {
  const Interval i = interval_of(m, alpha);
  if (std::isinf(i.low) && std::isinf(i.high)) return "";
  const double outside = 200 * alpha;  // in %
  const int decimals = std::max(0, static_cast<int>(std::ceil(-std::log10(outside))));
  return fmt::format(", {:.{}f}% interval {:.4g} to {:.4g}", 100 - outside, decimals, i.low, i.high);
}

// The first measure that is in the first of these states, at `alpha`, that occurs; and of several measures, how many are met.
std::string why(const Finding& f, double alpha, std::initializer_list<State> telling) {
  const std::vector<State> states = states_of(f, alpha);
  std::string text;
  if (states.size() > 1)
    text = fmt::format("{} of {} inside; ", std::ranges::count(states, State::met), states.size());
  for (const State state : telling) {
    const auto found = std::ranges::find(states, state);
    if (found == states.end()) continue;
    const Measure& m = f.measures[static_cast<std::size_t>(found - states.begin())];
    return text + fmt::format("{} is {:.4g}{}, asked for {}: {}", m.name, m.value, interval_words(m, alpha),
                              asked(m), words_for(state, m, alpha));
  }
  return text;
}

// How many times the data behind a measure would answer one of the questions to it at `alpha`, if its value stayed and its interval shrank
// with the square root of them. Infinite where more of the same does not help.
double data_needed(const Measure& m, double alpha) {
  if (m.samples.empty() || m.undefined > alpha || !std::isfinite(m.value)) return Measure::kInfinity;
  const auto to_exclude = [&](double bound) {
    const double spread = m.quantile(bound < m.value ? alpha : 1 - alpha) - m.value;
    return std::pow(spread / (bound - m.value), 2);
  };
  std::vector<double> answers;
  if (has(m.falsified)) answers.push_back(to_exclude(m.falsified));
  if (has(m.null)) {
    answers.push_back(to_exclude(m.null));
    if (effect(m, m.value) < m.least) answers.push_back(to_exclude(m.null + direction(m) * m.least));
  }
  if (meets(m, m.value))
    answers.push_back(std::max(to_exclude(m.low), to_exclude(m.high)));
  else if (answers.empty())
    answers.push_back(to_exclude(m.value < m.low ? m.low : m.high));
  return *std::ranges::min_element(answers);
}

// What would settle a claim that is unsure: as much as the most demanding of its unsure measures.
std::string what_would_settle(const Finding& f, const std::vector<State>& states, double alpha) {
  double most = 1;
  for (std::size_t i = 0; i < states.size(); ++i)
    if (states[i] == State::unsure) most = std::max(most, data_needed(f.measures[i], alpha));
  if (!(most <= 1000)) return "; 1000 times the runs or text behind it would not settle it";
  return fmt::format("; about {:.{}f} times the runs or text behind it would settle it", most,
                     most < 10 ? 1 : 0);
}

// Verdicts that need all measures to say the same, each at `alpha`. A number outside a band that is all there is to it goes with the rest.
std::optional<Verdict> unanimous(const std::vector<State>& states) {
  const auto all = [&](std::initializer_list<State> which) {
    return std::ranges::all_of(
        states, [&](State s) { return s == State::outside || std::ranges::count(which, s) > 0; });
  };
  if (all({State::met, State::there})) return Verdict::partial;
  if (all({State::against})) return Verdict::contradicted;
  if (all({State::against, State::absent})) return Verdict::not_at_this_scale;
  return std::nullopt;
}

// Whether part of the claim shows and part of it fails: then it is no matter how what is unsure turns out.
bool divided(const std::vector<State>& states) {
  const auto any = [&](std::initializer_list<State> which) {
    return std::ranges::any_of(states, [&](State s) { return std::ranges::count(which, s) > 0; });
  };
  return any({State::met, State::there}) && any({State::absent, State::against, State::outside});
}

// `p_all_met` is the adjusted p-value of all measures being met, `alpha` the level of other questions to a claim; `powered`: an effect that was
// built in has been found.
void judge_one(Finding& f, double p_all_met, double alpha, bool powered) {
  if (p_all_met <= kFamilyError) {
    f.verdict = f.single_run ? Verdict::partial : Verdict::reproduced;
    f.why = p_all_met > 0 ? fmt::format("all inside, p {:.1e} by Holm", p_all_met) : "all inside, exact";
    if (f.single_run) f.why += "; of a single run, whose noise is not known";
    return;
  }
  const std::vector<State> states = states_of(f, alpha);
  if (const auto verdict = unanimous(states)) {
    f.verdict = *verdict;
    f.why = why(f, alpha, {State::absent, State::against, State::outside, State::there});
    if (f.verdict != Verdict::not_at_this_scale || powered) return;
    f.verdict = Verdict::underpowered;
    f.why += "; and nothing planted shows that an effect would be seen";
    return;
  }
  const double divided_alpha = alpha / static_cast<double>(f.measures.size());
  const std::vector<State> each = states_of(f, divided_alpha);
  if (divided(each)) {
    f.verdict = Verdict::partial;
    f.why = why(f, divided_alpha, {State::against, State::absent, State::outside});
  } else {
    f.verdict = Verdict::underpowered;
    f.why = why(f, divided_alpha, {State::unsure}) + what_would_settle(f, each, divided_alpha);
  }
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

std::size_t claims_judged(const std::vector<Finding>& findings) {
  return static_cast<std::size_t>(std::ranges::count_if(findings, can_be_judged));
}

void judge(std::vector<Finding>& findings, const std::vector<Control>& controls) {
  const auto failed = std::ranges::find(controls, false, &Control::behaved);
  const bool powered = std::ranges::find(controls, true, &Control::planted) != controls.end();
  const std::vector<double> p = adjusted(findings);
  const std::size_t claims = claims_judged(findings);
  for (std::size_t i = 0; i < findings.size(); ++i) {
    Finding& f = findings[i];
    f.verdict = Verdict::not_testable;
    if (failed != controls.end())
      f.why = fmt::format("the control '{}' misbehaved: {}", failed->name, failed->text);
    else if (!f.untestable.empty())
      f.why = f.untestable;
    else if (f.measures.empty())
      f.why = "nothing was measured";
    else
      judge_one(f, p[i], kFamilyError / static_cast<double>(claims), powered);
  }
}

Verdict overall(const std::vector<Finding>& findings) {
  const auto count = [&](Verdict v) { return std::ranges::count(findings, v, &Finding::verdict); };
  if (findings.empty()) return Verdict::not_testable;
  if (count(Verdict::reproduced) == std::ssize(findings)) return Verdict::reproduced;
  if (count(Verdict::reproduced) + count(Verdict::partial) > 0) return Verdict::partial;
  for (const Verdict v : {Verdict::contradicted, Verdict::not_at_this_scale, Verdict::underpowered})
    if (count(v) > 0) return v;
  return Verdict::not_testable;
}

}  // namespace loglog::studies
