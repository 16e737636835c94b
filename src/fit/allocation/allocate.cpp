#include "fit/allocation/allocate.hpp"

#include <fmt/format.h>

#include <cmath>

#include "base/error.hpp"
#include "fit/allocation/numbers_text.hpp"

namespace loglog::fit {
namespace {

Misallocation misallocation(const FittedLaw& fitted, const Frontier& frontier, double C, double N) {
  const Vector& theta = fitted.result.theta;
  const Quantity factor = {"compute", [&](const Vector& t) {
                             return frontier.compute_of_size(t, N, frontier.best(t, C).loss) / C;
                           }};
  return {N, frontier.loss(theta, N, C / frontier.cost_per_token(N)), fitted.interval_of_positive(factor)};
}

}  // namespace

std::vector<AllocationAt> allocate(const FittedLaw& fitted, const AllocateOptions& options) {
  const Frontier frontier(*fitted.law, options.cost);
  const Vector& theta = fitted.result.theta;
  std::vector<AllocationAt> list;
  for (const double C : options.flops) {
    const Allocation best = frontier.best(theta, C);
    if (std::isnan(best.N))
      throw UsageError(fmt::format("{} has no best size at {:.3g} FLOPs: its loss has no minimum there",
                                   fitted.law->name, C));
    const auto interval = [&](const char* name, const auto& value) {
      return fitted.interval_of_positive({name, [&](const Vector& t) { return value(frontier.best(t, C)); }});
    };
    AllocationAt at;
    at.C = C;
    at.N = interval("N", [](const Allocation& a) { return a.N; });
    at.D = interval("D", [](const Allocation& a) { return a.D; });
    at.ratio = interval("D/N", [](const Allocation& a) { return a.D / a.N; });
    at.loss = interval("loss", [](const Allocation& a) { return a.loss; });
    at.indifferent = frontier.indifferent(theta, C, options.within);
    std::vector<double> sizes = options.sizes;
    if (sizes.empty())
      for (const double factor : {0.25, 0.5, 2.0, 4.0}) sizes.push_back(factor * best.N);
    for (const double N : sizes) at.others.push_back(misallocation(fitted, frontier, C, N));
    list.push_back(std::move(at));
  }
  return list;
}

std::vector<EffectiveCompute> effective_compute(const FittedLaw& ours, const FittedLaw& theirs,
                                                const AllocateOptions& options) {
  const Frontier here(*ours.law, options.cost), there(*theirs.law, options.cost);
  std::vector<EffectiveCompute> list;
  for (const double C : options.flops) {
    const auto log_factor = [&](const Vector& our_theta, const Vector& their_theta) {
      return std::log(there.compute_of_best(their_theta, here.best(our_theta, C).loss) / C);
    };
    const double value = log_factor(ours.result.theta, theirs.result.theta);
    EffectiveCompute e{
        C, here.best(ours.result.theta, C).loss, {"multiplier", std::exp(value), kNoInterval, kNoInterval}};
    if (ours.result.intervals != nullptr && theirs.result.intervals != nullptr && std::isfinite(value)) {
      const Ends of_ours = ours.result.intervals->of(
          {"ln", [&](const Vector& t) { return log_factor(t, theirs.result.theta); }});
      const Ends of_theirs = theirs.result.intervals->of(
          {"ln", [&](const Vector& t) { return log_factor(ours.result.theta, t); }});
      e.multiplier.low = std::exp(value - std::hypot(value - of_ours.low, value - of_theirs.low));
      e.multiplier.high = std::exp(value + std::hypot(of_ours.high - value, of_theirs.high - value));
    }
    list.push_back(e);
  }
  return list;
}

nlohmann::ordered_json allocation_json(const FittedLaw& fitted, const std::vector<AllocationAt>& list,
                                       const std::vector<EffectiveCompute>& against, double within) {
  nlohmann::ordered_json json = header_json(fitted);
  json["within"] = within;
  json["allocations"] = nlohmann::ordered_json::array();
  for (const AllocationAt& a : list) {
    nlohmann::ordered_json item = {{"C", a.C}};
    for (const Interval* i : {&a.N, &a.D, &a.ratio, &a.loss}) item[i->name] = interval_json(*i);
    item["indifferent"] = {{"lo", number_json(a.indifferent.low)}, {"hi", number_json(a.indifferent.high)}};
    for (const Misallocation& m : a.others)
      item["misallocation"].push_back(
          {{"N", m.N}, {"loss", number_json(m.loss)}, {"compute", interval_json(m.compute)}});
    json["allocations"].push_back(std::move(item));
  }
  for (const EffectiveCompute& e : against)
    json["effective_compute"].push_back(
        {{"C", e.C}, {"loss", number_json(e.loss)}, {"multiplier", interval_json(e.multiplier)}});
  return json;
}

std::string allocation_text(const FittedLaw& fitted, const std::vector<AllocationAt>& list,
                            const std::vector<EffectiveCompute>& against, double within) {
  std::string text = header_text(fitted);
  for (const AllocationAt& a : list) {
    text += fmt::format("at {:.4g} FLOPs\n", a.C);
    for (const Interval* i : {&a.N, &a.D, &a.ratio, &a.loss}) text += interval_text(*i);
    text += fmt::format("  sizes from {:.4g} to {:.4g} come within {:g}% of that loss\n", a.indifferent.low,
                        a.indifferent.high, 100 * within);
    for (const Misallocation& m : a.others)
      text += fmt::format("  N = {:<10.4g} has loss {:.5g}; to reach the best it takes {}\n", m.N, m.loss,
                          factor_text(m.compute, "times the compute"));
  }
  for (const EffectiveCompute& e : against)
    text += fmt::format("loss {:.5g}, ours at {:.4g} FLOPs: theirs takes {}\n", e.loss, e.C,
                        factor_text(e.multiplier, "times the compute"));
  return text;
}

}  // namespace loglog::fit
