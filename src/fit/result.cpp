#include "fit/result.hpp"

#include <fmt/format.h>

#include <cmath>

namespace loglog::fit {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) {
  if (std::isfinite(value)) return value;
  return nullptr;  // JSON has no infinity
}

Json intervals(const std::vector<Interval>& list) {
  Json object = Json::object();
  for (const Interval& item : list) {
    object[item.name] = {{"value", number(item.value)}, {"lo", number(item.low)}, {"hi", number(item.high)}};
  }
  return object;
}

Json certificate(const Certificate& c) {
  return {{"converged", c.converged},         {"starts", c.starts},
          {"agreeing", c.agreeing},           {"other_minima", c.other_minima},
          {"spread", number(c.spread)},       {"gradient", number(c.gradient)},
          {"decrement", number(c.decrement)}, {"min_eigenvalue", number(c.min_eigenvalue)},
          {"condition", number(c.condition)}, {"moved", number(c.moved)},
          {"at_bounds", c.at_bounds}};
}

Json budget(const Budget& b) {
  Json object = {{"C", b.C}, {"points", b.points}, {"sizes", b.sizes}, {"used", b.used}};
  if (!b.used) {
    object["reason"] = b.reason;
    return object;
  }
  object.update({{"N_opt", number(b.N_opt)},
                 {"D_opt", number(b.D_opt)},
                 {"loss", number(b.loss)},
                 {"se_log_N", number(b.se_log_N)}});
  if (!b.parabola.empty()) object["parabola"] = b.parabola;
  return object;
}

std::string interval_row(const Interval& item) {
  std::string row = fmt::format("  {:<10} {:>14.6g}", item.name, item.value);
  if (std::isfinite(item.low)) row += fmt::format("   [{:.6g}, {:.6g}]", item.low, item.high);
  return row + "\n";
}

}  // namespace

nlohmann::ordered_json to_json(const FitResult& r) {
  Json json = {{"law", r.law}, {"formula", r.formula}, {"n", r.n}, {"params", intervals(r.params)}};
  json["objective"] = {{"value", number(r.objective)}, {"kind", r.objective_kind}};
  if (r.delta > 0) json["objective"]["delta"] = r.delta;
  json["identified"] = r.identified;
  json["certificate"] = r.has_certificate ? certificate(r.certificate) : Json(nullptr);
  json["warnings"] = r.warnings;
  json["optimum"] = intervals(r.optimum);
  json["interval"] = {{"confidence", kConfidence}, {"method", r.interval_method}, {"seed", r.seed}};
  for (const Prediction& p : r.predictions) {
    Json place = Json::object();
    for (std::size_t v = 0; v < p.at.size(); ++v) place[r.variables[v]] = p.at[v];
    json["predictions"].push_back({{"at", place},
                                   {"loss", number(p.loss.value)},
                                   {"law", {{"lo", number(p.loss.low)}, {"hi", number(p.loss.high)}}},
                                   {"run", {{"lo", number(p.new_run.low)}, {"hi", number(p.new_run.high)}}}});
  }
  if (!r.budgets.empty()) {
    json["budgets"] = Json::array();
    for (const Budget& b : r.budgets) json["budgets"].push_back(budget(b));
  }
  json["excluded"] = Json::array();
  for (const Exclusion& e : r.excluded) json["excluded"].push_back({{"row", e.place}, {"reason", e.reason}});
  json["notices"] = r.notices;
  for (const ChecklistItem& item : r.checklist)
    json["checklist"][item.block].push_back(
        {{"item", item.name}, {"answer", item.answer}, {"stated", item.stated}});
  return json;
}

std::string checklist_text(const FitResult& r) {
  std::string text, block;
  for (const ChecklistItem& item : r.checklist) {
    if (item.block != block) text += item.block + "\n";
    block = item.block;
    text += fmt::format("  {:<22} {}\n", item.name, item.answer);
  }
  return text;
}

std::string to_text(const FitResult& r) {
  std::string text = fmt::format("{}: {}   ({} points)\n", r.law, r.formula, r.n);
  for (const Interval& item : r.params) text += interval_row(item);
  if (!r.optimum.empty()) text += "compute-optimal N_opt ~ C^a, D_opt ~ C^b\n";
  for (const Interval& item : r.optimum) text += interval_row(item);
  if (!r.budgets.empty())
    text += fmt::format("  {:>11} {:>6} {:>12} {:>12} {:>9}\n", "C", "sizes", "N_opt", "D_opt", "loss");
  for (const Budget& b : r.budgets) {
    text += b.used ? fmt::format("  {:>11.4g} {:>6} {:>12.5g} {:>12.5g} {:>9.5g}\n", b.C, b.sizes, b.N_opt,
                                 b.D_opt, b.loss)
                   : fmt::format("  {:>11.4g} {:>6} not used: {}\n", b.C, b.sizes, b.reason);
  }
  for (const Prediction& p : r.predictions) {
    text += "at";
    for (std::size_t v = 0; v < p.at.size(); ++v)
      text += fmt::format(" {} = {:.4g}", r.variables[v], p.at[v]);
    text += fmt::format(": loss {:.6g}, the law's in [{:.6g}, {:.6g}], a run's in [{:.6g}, {:.6g}]\n",
                        p.loss.value, p.loss.low, p.loss.high, p.new_run.low, p.new_run.high);
  }
  if (!r.interval_method.empty()) text += fmt::format("95% intervals: {}\n", r.interval_method);
  text += fmt::format("objective: {:.12e} ({})\n", r.objective, r.objective_kind);
  if (r.has_certificate) {
    const Certificate& c = r.certificate;
    text += fmt::format(
        "certificate: {}; {} of {} starts agree{} (spread {:.1e}), gradient {:.1e}, decrement {:.1e}, "
        "least eigenvalue {:.2g}, condition {:.3g}\n",
        c.converged ? "converged" : "NOT CONVERGED", c.agreeing, c.starts,
        c.other_minima > 0 ? fmt::format(", {} end in worse minima", c.other_minima) : "", c.spread,
        c.gradient, c.decrement, c.min_eigenvalue, c.condition);
  }
  return text;
}

}  // namespace loglog::fit
