#include "fit/choice/holdout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace loglog::fit {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) {
  if (std::isfinite(value)) return value;
  return nullptr;
}

FoldResult predict_fold(const Law& law, const Runs& runs, const Fold& fold, SurfaceOptions options) {
  FoldResult result{fold.name, static_cast<int>(fold.train.size())};
  const auto at_row = [&](std::size_t v, int row) { return runs.columns[v][static_cast<std::size_t>(row)]; };
  for (const int row : fold.test) {
    std::vector<double>& place = options.places.emplace_back();
    for (std::size_t v = 0; v < law.variables.size(); ++v) place.push_back(at_row(v, row));
  }
  FitResult fit;
  try {
    fit = fit_surface(law, select_rows(runs, fold.train), options);
  } catch (const InputError& error) {
    result.refusal = error.what();
    return result;
  }
  result.identified = fit.identified;
  result.theta = fit.theta, result.delta = fit.delta;
  for (std::size_t i = 0; i < fold.test.size(); ++i) {
    const Prediction& p = fit.predictions[i];
    result.points.push_back({fold.test[i], runs.loss[static_cast<std::size_t>(fold.test[i])], p.loss.value,
                             p.new_run.low, p.new_run.high});
  }
  return result;
}

std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.0f}%", 100 * share) : "-";
}

}  // namespace

double HeldOutPoint::error() const {
  return std::log(predicted / observed);
}

int Holdout::refused() const {
  return static_cast<int>(
      std::ranges::count_if(folds, [](const FoldResult& f) { return !f.refusal.empty(); }));
}

std::vector<HeldOutPoint> Holdout::points() const {
  std::vector<HeldOutPoint> all;
  for (const FoldResult& fold : folds) all.insert(all.end(), fold.points.begin(), fold.points.end());
  return all;
}

double log_rmse(const std::vector<HeldOutPoint>& points) {
  double squares = 0;
  for (const HeldOutPoint& p : points) squares += p.error() * p.error();
  return std::sqrt(squares / static_cast<double>(points.size()));  // NaN of none
}

double share_inside(const std::vector<HeldOutPoint>& points) {
  double inside = 0, counted = 0;
  for (const HeldOutPoint& p : points) {
    if (!std::isfinite(p.low) || !std::isfinite(p.high)) continue;
    counted += 1;
    inside += p.low <= p.observed && p.observed <= p.high ? 1 : 0;
  }
  return inside / counted;  // NaN of none
}

Holdout hold_out(const Law& law, const Runs& runs, const std::vector<Fold>& folds,
                 const SurfaceOptions& options) {
  Holdout result{law.name, law.formula, "", {}, runs.warnings};
  const Runs own = columns_of(runs, law);
  for (const Fold& fold : folds) result.folds.push_back(predict_fold(law, own, fold, options));
  return result;
}

nlohmann::ordered_json to_json(const Holdout& holdout, const Runs& runs) {
  const std::vector<HeldOutPoint> all = holdout.points();
  Json json = {{"law", holdout.law},
               {"formula", holdout.formula},
               {"holdout", holdout.plan},
               {"log_rmse", number(log_rmse(all))},
               {"inside", number(share_inside(all))},
               {"points", all.size()},
               {"refused", holdout.refused()},
               {"folds", Json::array()},
               {"warnings", holdout.warnings}};
  for (const FoldResult& fold : holdout.folds) {
    Json points = Json::array();
    for (const HeldOutPoint& p : fold.points) {
      const auto i = static_cast<std::size_t>(p.row);
      Json x = Json::object();
      for (std::size_t v = 0; v < runs.variables.size(); ++v) x[runs.variables[v]] = runs.columns[v][i];
      points.push_back({{"row", runs.row[i] + 1},
                        {"x", x},
                        {"observed", p.observed},
                        {"predicted", number(p.predicted)},
                        {"lo", number(p.low)},
                        {"hi", number(p.high)}});
    }
    Json entry = {{"name", fold.name},
                  {"trained", fold.trained},
                  {"log_rmse", number(log_rmse(fold.points))},
                  {"inside", number(share_inside(fold.points))},
                  {"identified", fold.identified}};
    entry["refused"] = fold.refusal.empty() ? Json(nullptr) : Json(fold.refusal);
    entry["points"] = std::move(points);
    json["folds"].push_back(std::move(entry));
  }
  return json;
}

std::string to_text(const Holdout& holdout) {
  std::string text = fmt::format("{}: {}\n{}\n", holdout.law, holdout.formula, holdout.plan);
  text += fmt::format("  {:<28} {:>7} {:>10} {:>10} {:>7}\n", "predicted", "fitted", "held out", "log-RMSE",
                      "inside");
  for (const FoldResult& fold : holdout.folds) {
    if (!fold.refusal.empty()) {
      text += fmt::format("  {:<28} {:>7} refused: {}\n", fold.name, fold.trained, fold.refusal);
      continue;
    }
    text += fmt::format("  {:<28} {:>7} {:>10} {:>10.5f} {:>7}{}\n", fold.name, fold.trained,
                        fold.points.size(), log_rmse(fold.points), percent(share_inside(fold.points)),
                        fold.identified ? "" : "  not identified");
  }
  const std::vector<HeldOutPoint> all = holdout.points();
  text += fmt::format("all: log-RMSE {:.5f} of {} held-out rows, {} inside the 95% interval of a run",
                      log_rmse(all), all.size(), percent(share_inside(all)));
  if (holdout.refused() > 0) text += fmt::format("; {} folds refused", holdout.refused());
  return text + "\n";
}

}  // namespace loglog::fit
