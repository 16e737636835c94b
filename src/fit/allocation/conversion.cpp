#include "fit/allocation/conversion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/error.hpp"
#include "base/expression.hpp"
#include "fit/allocation/numbers_text.hpp"
#include "fit/allocation/search.hpp"
#include "fit/interpolate.hpp"
#include "fit/regression.hpp"

namespace loglog::fit {
namespace {

const Counted& counted(const CountedModel& model, Convention convention) {
  return convention == Convention::law ? model.law : model.other;
}

double loss_of(const Law& law, const Vector& theta, const CountedModel& model, double D) {
  const Frontier frontier(law, TokenCost([&](double) { return model.law.cost; }));
  return frontier.loss(theta, model.law.N, D);
}

void add_lines(SweepPrediction& sweep) {
  if (sweep.points.size() < 2) return;
  std::vector<double> C, N, D, loss;
  for (const SweepPoint& p : sweep.points) {
    C.push_back(std::log(p.C)), N.push_back(std::log(p.N));
    D.push_back(std::log(p.D)), loss.push_back(std::log(p.loss));
  }
  const std::vector<double> even(C.size(), 1);
  sweep.a = fit_line(C, N, even).slope;
  sweep.b = fit_line(C, D, even).slope;
  sweep.loss_exponent = -fit_line(C, loss, even).slope;
}

}  // namespace

ModelFamily::ModelFamily(std::vector<CountedModel> models) : models_(std::move(models)) {
  std::ranges::sort(models_, {}, [](const CountedModel& m) { return m.other.N; });
  std::vector<double> x;
  std::vector<std::vector<double>> y(3);
  for (const CountedModel& m : models_) {
    for (const Counted* c : {&m.law, &m.other})
      if (!(c->N > 0) || !(c->cost > 0))
        throw UsageError(fmt::format("a model has {} parameters and {} FLOPs per token", c->N, c->cost));
    if (!x.empty() && !(std::log(m.other.N) > x.back()))
      throw UsageError(fmt::format("two models have {:.6g} parameters", m.other.N));
    if (!x.empty() && !(std::log(m.law.N) > y[0].back()))
      throw UsageError(
          fmt::format("of two models the one with more parameters in one count has fewer in the "
                      "other: {:.6g} and {:.6g}",
                      m.other.N, m.law.N));
    x.push_back(std::log(m.other.N));
    y[0].push_back(std::log(m.law.N)), y[1].push_back(std::log(m.law.cost)),
        y[2].push_back(std::log(m.other.cost));
  }
  if (x.size() < 3)
    throw UsageError(fmt::format("{} models: at least 3 show how counts go together", x.size()));
  const auto curves = std::make_shared<std::vector<Akima>>();
  for (std::vector<double>& column : y) curves->emplace_back(x, std::move(column));
  model_ = [curves](double log_N) {
    return CountedModel{{std::exp((*curves)[0](log_N)), std::exp((*curves)[1](log_N))},
                        {std::exp(log_N), std::exp((*curves)[2](log_N))}};
  };
}

ModelFamily::ModelFamily(const std::string& formula, double least, double largest) {
  const auto expression = std::make_shared<const Expression>(formula, "--law-count");
  if (expression->variables() != std::vector<std::string>{"N"})
    throw UsageError(fmt::format("--law-count '{}': a formula of N, and of nothing else", formula));
  model_ = [expression](double log_N) {
    const double N = std::exp(log_N), of_law = expression->evaluate(std::vector<double>{N});
    return CountedModel{{of_law, 6 * of_law}, {N, 6 * N}};
  };
  for (const double N : log_spaced(least, largest, 20)) {
    models_.push_back(model_(std::log(N)));
    if (!(models_.back().law.N > 0))
      throw UsageError(fmt::format("--law-count '{}' is not positive at N = {:.4g}", formula, N));
  }
}

SweepPrediction predict_sweep(const Law& law, const Vector& theta, const ModelFamily& family,
                              Convention convention, std::span<const double> budgets) {
  constexpr int kGrid = 64;
  SweepPrediction sweep;
  const double step = (family.high() - family.low()) / kGrid;
  for (const double C : budgets) {
    const auto loss_at = [&](double log_N) {
      const CountedModel model = family.at(log_N);
      return loss_of(law, theta, model, C / counted(model, convention).cost);
    };
    int least = 0;
    double lowest = INFINITY;
    for (int i = 0; i <= kGrid; ++i)
      if (const double value = loss_at(family.low() + i * step); value < lowest) least = i, lowest = value;
    if (least == 0 || least == kGrid) continue;
    const double log_N =
        minimum_between(family.low() + (least - 1) * step, family.low() + (least + 1) * step, loss_at);
    const Counted model = counted(family.at(log_N), convention);
    sweep.points.push_back({C, model.N, C / model.cost, loss_at(log_N)});
  }
  add_lines(sweep);
  return sweep;
}

SweepPrediction predict_sweep_of(const Law& law, const Vector& theta, const std::vector<CountedModel>& models,
                                 Convention convention, std::span<const double> budgets,
                                 std::span<const double> tokens) {
  SweepPrediction sweep;
  for (const double C : budgets) {
    SweepPoint best{C, 0, 0, INFINITY};
    for (const CountedModel& model : models) {
      const Counted& count = counted(model, convention);
      double D = C / count.cost;
      if (!tokens.empty())
        D = *std::ranges::min_element(tokens, {}, [&](double t) { return std::abs(t - C / count.cost); });
      if (const double loss = loss_of(law, theta, model, D); loss < best.loss) best = {C, count.N, D, loss};
    }
    sweep.points.push_back(best);
  }
  add_lines(sweep);
  return sweep;
}

std::vector<double> log_spaced(double low, double high, int count) {
  std::vector<double> list;
  for (int i = 0; i < count; ++i) list.push_back(low * std::pow(high / low, i / (count - 1.0)));
  return list;
}

namespace {

// The computes that the best models of the other convention's ends have in the law's.
std::vector<double> budgets_of_law(const Law& law, const Vector& theta, const ModelFamily& family,
                                   const std::vector<double>& budgets) {
  const SweepPrediction ends =
      predict_sweep(law, theta, family, Convention::other, std::vector{budgets.front(), budgets.back()});
  if (ends.points.size() < 2)
    throw UsageError(
        fmt::format("the best model at {:.3g} or {:.3g} FLOPs is not between the least and the largest: give "
                    "other budgets",
                    budgets.front(), budgets.back()));
  const auto compute = [&](const SweepPoint& p) { return family.at(std::log(p.N)).law.cost * p.D; };
  return log_spaced(compute(ends.points[0]), compute(ends.points[1]), static_cast<int>(budgets.size()));
}

}  // namespace

Conversion convert(const FittedLaw& fitted, const ModelFamily& family, const std::vector<double>& budgets) {
  const Law& law = *fitted.law;
  const Vector& theta = fitted.result.theta;
  const std::vector<double> own = budgets_of_law(law, theta, family, budgets);
  Conversion c;
  c.budgets = budgets;
  c.law = predict_sweep(law, theta, family, Convention::law, own);
  c.other = predict_sweep(law, theta, family, Convention::other, budgets);
  c.of_these = predict_sweep_of(law, theta, family.models(), Convention::other, budgets);
  const auto interval = [&](const char* name, const auto& of) {
    Interval i{name, of(theta), kNoInterval, kNoInterval};
    if (fitted.result.intervals == nullptr) return i;
    const Ends ends = fitted.result.intervals->of({name, of});
    i.low = ends.low, i.high = ends.high;
    return i;
  };
  const std::vector<double> few = log_spaced(budgets.front(), budgets.back(), 12);
  const std::vector<double> few_own = log_spaced(own.front(), own.back(), 12);
  const auto a_law = [&](const Vector& t) {
    return predict_sweep(law, t, family, Convention::law, few_own).a;
  };
  const auto a_other = [&](const Vector& t) {
    return predict_sweep(law, t, family, Convention::other, few).a;
  };
  c.a_law = interval("a", a_law);
  c.a_other = interval("a", a_other);
  c.gap = interval("gap", [&](const Vector& t) { return a_other(t) - a_law(t); });
  return c;
}

namespace {

nlohmann::ordered_json sweep_json(const SweepPrediction& s) {
  nlohmann::ordered_json json = {
      {"a", number_json(s.a)}, {"b", number_json(s.b)}, {"loss_exponent", number_json(s.loss_exponent)}};
  json["points"] = nlohmann::ordered_json::array();
  for (const SweepPoint& p : s.points)
    json["points"].push_back({{"C", p.C}, {"N", p.N}, {"D", p.D}, {"loss", p.loss}});
  return json;
}

}  // namespace

nlohmann::ordered_json conversion_json(const FittedLaw& fitted, const Conversion& c) {
  nlohmann::ordered_json json = header_json(fitted);
  json["exponents"] = {
      {"law", interval_json(c.a_law)}, {"other", interval_json(c.a_other)}, {"gap", interval_json(c.gap)}};
  json["law_count"] = sweep_json(c.law);
  json["other_count"] = sweep_json(c.other);
  json["these_models"] = sweep_json(c.of_these);
  return json;
}

std::string conversion_text(const FittedLaw& fitted, const Conversion& c) {
  std::string text = header_text(fitted);
  text += fmt::format("N_opt ~ C^a between {:.3g} and {:.3g} FLOPs of the other count\n", c.budgets.front(),
                      c.budgets.back());
  for (const auto& [name, interval] :
       {std::pair{"as the law counts", &c.a_law}, {"in the other count", &c.a_other}, {"gap", &c.gap}}) {
    Interval named = *interval;
    named.name = name;
    text += fmt::format("  {:<20}", name) + interval_text({"", named.value, named.low, named.high});
  }
  text += fmt::format("  the best of {} models alone: a = {:.4f}; loss ~ C^-{:.4f} without a floor\n",
                      "these", c.of_these.a, c.other.loss_exponent);
  text += fmt::format("  {:>11} {:>12} {:>12} {:>9} {:>8}\n", "C", "N_opt", "D_opt", "loss", "local a");
  const std::vector<SweepPoint>& p = c.other.points;
  const std::size_t stride = std::max<std::size_t>(1, p.size() / 8);
  for (std::size_t i = 0; i + 1 < p.size(); i += stride)
    text += fmt::format("  {:>11.4g} {:>12.5g} {:>12.5g} {:>9.5g} {:>8.4f}\n", p[i].C, p[i].N, p[i].D,
                        p[i].loss, std::log(p[i + 1].N / p[i].N) / std::log(p[i + 1].C / p[i].C));
  return text;
}

}  // namespace loglog::fit
