// What each run does to a fit, and which runs the law does not explain.
//
// Each run is left out and the law fitted again to the end; nothing is linearised. Rows that share a run are left out together.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fit/surface.hpp"
#include "fit/table.hpp"

namespace loglog::fit {

struct Influence {
  int row = 0;          // index into the runs
  std::string place;    // "runs.csv:12"
  double residual = 0;  // ln observed - ln predicted: a diverged run lies above the law
  // Of the fit without the row's run: how far the row lies from it in units of the sd that is to be expected there, Student's t with
  // n - p - 1 degrees of freedom for least squares and normal noise. For Huber fits by the scale of profile.hpp, which outliers hardly move.
  double studentised = 0;
  double leverage =
      0;  // of the row: w g' (J'WJ)^-1 g; they sum to the number of parameters. NaN where J is singular
  double cook = 0;             // of the row's run: dtheta' J'WJ dtheta / (p s^2), exact dtheta
  std::vector<double> change;  // of each of the law's params when the run is left out
  bool outlier = false;        // |studentised| above the limit
};

struct InfluenceReport {
  FitResult fit;
  std::vector<std::string> params;  // names of `change`
  std::vector<Influence> rows;      // in the order of the table
  double limit =
      0;  // of |studentised|: passed by one of all rows with probability 5% when none is an outlier (Bonferroni)
  std::vector<int> outliers() const;  // indices into rows, the furthest first
};

// Points further from the law than noise explains by their residuals alone, the furthest first: indices into result.residuals. Cheap, for a
// warning with every fit.
std::vector<int> far_rows(const FitResult& result, int parameters);

// Runs of `law` from `table`, as fit_surface takes them.
InfluenceReport influence(const Law& law, const Table& table, const Runs& runs, const SurfaceOptions& options,
                          int threads);

// {law, formula, n, limit, outliers: [row], rows: [{row, place, observed, predicted, residual, studentised, leverage, cook, outlier,
// change: {}}], warnings}; row counts from 1 in the table.
nlohmann::ordered_json to_json(const InfluenceReport& report, const Runs& runs);
std::string to_text(const InfluenceReport& report, int most_rows = 10);

}  // namespace loglog::fit
