#include "fit/allocation/design.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "fit/allocation/conversion.hpp"
#include "fit/allocation/numbers_text.hpp"

namespace loglog::fit {
namespace {

// What the runs span of one number, and how far from there a candidate may be.
struct Trusted {
  const char* name;
  double low, high;
};

std::vector<Trusted> trust_region(const FittedLaw& fitted, const DesignOptions& o) {
  const std::vector<double>&N = fitted.runs.column("N"), &D = fitted.runs.column("D");
  const auto range = [&](const char* name, const auto& number) {
    double low = INFINITY, high = 0;
    for (std::size_t i = 0; i < N.size(); ++i)
      low = std::min(low, number(N[i], D[i])), high = std::max(high, number(N[i], D[i]));
    const double target = number(o.target.N, o.target.D);
    low = std::min(low, target), high = std::max(high, target);
    return Trusted{name, low / o.trust, high * o.trust};
  };
  return {range("N", [](double n, double) { return n; }), range("D", [](double, double d) { return d; }),
          range("D/N", [](double n, double d) { return d / n; }),
          range("FLOPs", [&](double n, double d) { return o.cost(n) * d; })};
}

std::string reason_outside(const std::vector<Trusted>& region, const CandidateRun& c) {
  const double numbers[] = {c.place.N, c.place.D, c.place.D / c.place.N, c.flops};
  for (std::size_t i = 0; i < region.size(); ++i) {
    const Trusted& t = region[i];
    if (numbers[i] < t.low * (1 - 1e-9))
      return fmt::format("{} {:.3g} is below {:.3g}", t.name, numbers[i], t.low);
    if (numbers[i] > t.high * (1 + 1e-9))
      return fmt::format("{} {:.3g} is above {:.3g}", t.name, numbers[i], t.high);
  }
  return "";
}

std::vector<Place2> grid_over(const std::vector<Trusted>& region) {
  std::vector<Place2> places;
  for (const double N : log_spaced(region[0].low, region[0].high, 11))
    for (const double ratio : log_spaced(region[2].low, region[2].high, 6)) places.push_back({N, ratio * N});
  return places;
}

std::vector<double> logs(const Law& law, const Place2& place) {
  std::vector<double> x;
  for (const std::string& variable : law.variables)
    x.push_back(std::log(variable == "N" ? place.N : place.D));
  return x;
}

using Judge = std::function<double(const std::vector<CandidateRun>&)>;  // variance after these runs

// One run after the other, each the best of those that are affordable still: by what it is worth, or by that over its cost.
std::vector<CandidateRun> greedy_plan(const std::vector<CandidateRun>& trusted, const DesignOptions& o,
                                      const Judge& variance_after, bool per_flop) {
  std::vector<CandidateRun> plan;
  double left = o.budget, now = variance_after({});
  while (static_cast<int>(plan.size()) < o.most_runs) {
    const CandidateRun* best = nullptr;
    double best_worth = 0, best_variance = now;
    for (const CandidateRun& c : trusted) {
      if (c.flops > left) continue;
      std::vector<CandidateRun> with = plan;
      with.push_back(c);
      const double variance = variance_after(with), worth = (now - variance) / (per_flop ? c.flops : 1);
      if (worth > best_worth) best = &c, best_worth = worth, best_variance = variance;
    }
    if (best == nullptr) break;
    plan.push_back(*best);
    left -= best->flops, now = best_variance;
  }
  return plan;
}

// Without the runs that add next to nothing, and with what each of the others adds.
std::vector<CandidateRun> pruned(std::vector<CandidateRun> plan, const Judge& variance_after) {
  constexpr double kNegligible = 0.01;  // of what the whole plan does
  const double before = variance_after({});
  double now = variance_after(plan);
  for (std::size_t i = plan.size(); i-- > 0;) {
    std::vector<CandidateRun> without = plan;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
    const double variance = variance_after(without);
    if (variance - now < kNegligible * (before - now)) plan = std::move(without), now = variance;
  }
  std::vector<CandidateRun> done;
  double last = before;
  for (CandidateRun& c : plan) {
    done.push_back(c);
    const double variance = variance_after(done);
    c.reduction = (last - variance) / before;
    c.per_flop = c.reduction / c.flops;
    last = variance;
  }
  return plan;
}

// The better of both: each alone may be arbitrarily bad, the better one is not (Leskovec et al. 2007, section 3.2).
std::vector<CandidateRun> plan_of(const std::vector<CandidateRun>& trusted, const DesignOptions& o,
                                  const Judge& variance_after) {
  std::vector<CandidateRun> by_worth = greedy_plan(trusted, o, variance_after, false),
                            by_rate = greedy_plan(trusted, o, variance_after, true);
  return pruned(variance_after(by_rate) < variance_after(by_worth) ? by_rate : by_worth, variance_after);
}

Interval target_interval(const Law& law, const Vector& theta, const Place2& target, double variance,
                         double degrees) {
  const std::vector<double> x = logs(law, target);
  const double value = law.form->log_loss(theta, x.data(), nullptr, nullptr);
  const double half = degrees < 1 ? NAN : student_t_quantile(0.975, degrees) * std::sqrt(variance);
  return {"loss", std::exp(value), std::exp(value - half), std::exp(value + half)};
}

}  // namespace

Design design_runs(const FittedLaw& fitted, const DesignOptions& o) {
  const Law& law = *fitted.law;
  if (law.variables.size() != 2 || law.variables[0] != "N" || law.variables[1] != "D")
    throw UsageError(fmt::format("runs are designed for laws of N and D, not for {}", law.name));
  const Points points = fitted.points();
  const Vector theta = fitted.centred(points);
  const std::vector<double>& weights = fitted.runs.weight;
  Design design;
  design.discrepancy = estimate_discrepancy(points, weights, theta);
  if (o.tau) design.discrepancy.tau_squared = *o.tau * *o.tau;
  if (o.tau && *o.tau == 0)  // then all that is left is noise
    design.discrepancy.noise = residual_scale(points, weights, fitted.huber(), theta).variance;
  const PredictionError error(points, weights, fitted.huber(), theta, design.discrepancy,
                              logs(law, o.target));
  const double before = error.variance();
  design.target =
      target_interval(law, fitted.result.theta, o.target, before, points.size() - law.parameter_count());
  const Judge variance_after = [&](const std::vector<CandidateRun>& runs) {
    std::vector<std::vector<double>> more;
    for (const CandidateRun& c : runs) more.push_back(logs(law, c.place));
    return error.variance_with(more);
  };

  const std::vector<Trusted> region = trust_region(fitted, o);
  for (const Place2& place : o.candidates.empty() ? grid_over(region) : o.candidates) {
    CandidateRun c{place, o.cost(place.N) * place.D, 0, 0, ""};
    c.reduction = 1 - variance_after({c}) / before;
    c.per_flop = c.reduction / c.flops;
    c.outside = reason_outside(region, c);
    if (c.outside.empty() && c.flops > o.budget) c.outside = "dearer than the budget";
    design.candidates.push_back(std::move(c));
  }
  std::ranges::stable_sort(design.candidates, [](const CandidateRun& a, const CandidateRun& b) {
    return a.outside.empty() != b.outside.empty() ? a.outside.empty() : a.per_flop > b.per_flop;
  });
  if (!design.candidates.front().outside.empty())
    throw RefusedError(fmt::format("none of {} candidates is near enough to the data and affordable: {}",
                                   design.candidates.size(), design.candidates.front().outside));
  if (std::isfinite(o.budget)) {
    std::vector<CandidateRun> trusted;
    std::ranges::copy_if(design.candidates, std::back_inserter(trusted),
                         [](const CandidateRun& c) { return c.outside.empty(); });
    design.plan = plan_of(trusted, o, variance_after);
    design.plan_reduction = 1 - variance_after(design.plan) / before;
  }
  return design;
}

namespace {

nlohmann::ordered_json candidate_json(const CandidateRun& c) {
  nlohmann::ordered_json json = {{"N", c.place.N},
                                 {"D", c.place.D},
                                 {"flops", c.flops},
                                 {"reduction", number_json(c.reduction)},
                                 {"per_flop", number_json(c.per_flop)}};
  if (!c.outside.empty()) json["outside"] = c.outside;
  return json;
}

std::string candidate_text(const CandidateRun& c) {
  return fmt::format("  {:>11.4g} {:>11.4g} {:>8.3g} {:>11.4g} {:>9.3g}% {:>11.3g}\n", c.place.N, c.place.D,
                     c.place.D / c.place.N, c.flops, 100 * c.reduction, c.per_flop);
}
std::string candidate_header() {
  return fmt::format("  {:>11} {:>11} {:>8} {:>11} {:>10} {:>11}\n", "N", "D", "D/N", "FLOPs", "variance",
                     "per FLOP");
}

}  // namespace

nlohmann::ordered_json design_json(const FittedLaw& fitted, const Design& d, const DesignOptions& o) {
  nlohmann::ordered_json json = header_json(fitted);
  json["target"] = {{"N", o.target.N}, {"D", o.target.D}, {"loss", interval_json(d.target)}};
  json["discrepancy"] = {{"tau", std::sqrt(d.discrepancy.tau_squared)},
                         {"noise", std::sqrt(d.discrepancy.noise)},
                         {"likelihood_ratio", d.discrepancy.likelihood_ratio},
                         {"significant", d.discrepancy.is_significant()}};
  json["candidates"] = nlohmann::ordered_json::array();
  for (const CandidateRun& c : d.candidates) json["candidates"].push_back(candidate_json(c));
  if (!std::isfinite(o.budget)) return json;
  json["plan"] = {
      {"budget", o.budget}, {"reduction", d.plan_reduction}, {"runs", nlohmann::ordered_json::array()}};
  for (const CandidateRun& c : d.plan) json["plan"]["runs"].push_back(candidate_json(c));
  return json;
}

std::string design_text(const FittedLaw& fitted, const Design& d, const DesignOptions& o) {
  constexpr std::size_t kShown = 10;
  std::string text = header_text(fitted);
  text += fmt::format(
      "loss at N = {:.4g}, D = {:.4g}: {:.5g} [{:.5g}, {:.5g}] with noise of {:.2g} and a discrepancy of "
      "{:.2g} "
      "per factor e\n",
      o.target.N, o.target.D, d.target.value, d.target.low, d.target.high, std::sqrt(d.discrepancy.noise),
      std::sqrt(d.discrepancy.tau_squared));
  if (std::isfinite(o.budget)) {
    text +=
        fmt::format("for {:.4g} FLOPs, {:.3g}% of the variance goes:\n", o.budget, 100 * d.plan_reduction) +
        candidate_header();
    for (const CandidateRun& c : d.plan) text += candidate_text(c);
  }
  text += "one run, by how much of the variance goes per FLOP:\n" + candidate_header();
  std::size_t shown = 0, outside = 0;
  for (const CandidateRun& c : d.candidates) {
    if (!c.outside.empty()) ++outside;
    if (c.outside.empty() && shown++ < kShown) text += candidate_text(c);
  }
  if (outside > 0)
    text += fmt::format("{} candidates are too far from the data, or too dear; --json has the reasons\n",
                        outside);
  return text;
}

}  // namespace loglog::fit
