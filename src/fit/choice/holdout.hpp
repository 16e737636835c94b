// How well a law predicts runs that it was not fitted to.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fit/choice/folds.hpp"
#include "fit/surface.hpp"

namespace loglog::fit {

struct HeldOutPoint {
  int row = 0;  // index into the runs
  double observed = 0, predicted = 0;
  double low = 0, high = 0;  // 95%, of one run there; NaN where no intervals were asked for or there are none
  double error() const;      // ln predicted - ln observed
};

struct FoldResult {
  std::string name;
  int trained = 0;      // rows
  std::string refusal;  // why the law could not be fitted to them; there are no points then
  bool identified = false;
  std::vector<HeldOutPoint> points;
  Vector theta = {};  // of the fit, in the units of the data, and its delta
  double delta = 0;
};

struct Holdout {
  std::string law, formula, plan;
  std::vector<FoldResult> folds;
  std::vector<std::string> warnings;

  int refused() const;                       // folds
  std::vector<HeldOutPoint> points() const;  // of all folds
};

// Root of the mean squared error of ln loss; NaN of no points.
double log_rmse(const std::vector<HeldOutPoint>& points);
// Of the points that have an interval, the share inside it; NaN where none has.
double share_inside(const std::vector<HeldOutPoint>& points);

// `runs` holds the variables of the law and of the folds. A fold to which the law cannot be fitted is a refusal, not an error.
Holdout hold_out(const Law& law, const Runs& runs, const std::vector<Fold>& folds,
                 const SurfaceOptions& options);

// {law, formula, holdout, log_rmse, inside, points, refused, folds: [{name, trained, log_rmse, inside, identified, refused,
// points: [{row, x: {}, observed, predicted, lo, hi}]}], warnings}; row counts from 1 in the table.
nlohmann::ordered_json to_json(const Holdout& holdout, const Runs& runs);
std::string to_text(const Holdout& holdout);

}  // namespace loglog::fit
