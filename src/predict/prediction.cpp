#include "predict/prediction.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "fit/procedure.hpp"
#include "fit/runs.hpp"

namespace loglog::predict {
namespace {

fit::FitResult fit_at(const fit::Table& table, const std::string& law,
                      const std::vector<std::map<std::string, double>>& places, const PredictOptions& options,
                      int bootstrap) {
  fit::ProcedureOptions o;
  o.bootstrap = bootstrap;
  o.interval = options.interval;
  o.seed = options.seed;
  o.threads = options.threads;
  o.places = places;
  return fit::find_procedure(law).run(table, o);
}

// The values of a law's variables where a run lies.
std::map<std::string, double> place_of(const sweep::RunSpec& run, const fit::Procedure& law) {
  const std::map<std::string, double> all = {{"N", run.n}, {"D", run.d}, {"C", run.c}};
  std::map<std::string, double> place;
  for (const std::string& variable : law.variables) {
    const auto found = all.find(variable);
    if (found == all.end())
      throw UsageError(fmt::format("--law {} needs {}, which a sweep does not plan", law.name, variable));
    place.insert(*found);
  }
  return place;
}

std::vector<std::map<std::string, double>> places_of(const sweep::Grid& grid, const std::string& law) {
  std::vector<std::map<std::string, double>> places;
  for (const sweep::Cell& cell : grid.cells) places.push_back(place_of(cell.spec, fit::find_procedure(law)));
  return places;
}

// Of identities and losses, in whatever order: another result is another hash.
std::string hash_of_results(const fit::Table& table, const std::vector<int>& rows) {
  const std::vector<double> N = table.numbers("N"), C = table.numbers("C"), losses = table.numbers("loss");
  std::vector<std::string> lines;
  for (const int row : rows) {
    const auto i = static_cast<std::size_t>(row);
    lines.push_back(fmt::format("{} {:.17g} {:.17g} {:.17g}\n", table.has("run") ? table.texts("run")[i] : "",
                                N[i], C[i], losses[i]));
  }
  std::ranges::sort(lines);
  Hasher hasher;
  for (const std::string& line : lines) hasher.update(std::as_bytes(std::span(line)));
  return hasher.hex();
}

Basis basis_of(const sweep::SweepSpec& sweep, const sweep::Grid& grid, const fit::Table& fitted,
               const fit::FitResult& result, const PredictOptions& options) {
  Basis basis;
  basis.sweep = sweep.name;
  basis.law = result.law, basis.formula = result.formula, basis.floorless_law = options.floorless;
  basis.interval = result.interval_method;
  basis.fitted_sweep = options.fitted_sweep;
  basis.fitted_runs = result.n;
  const std::vector<double> C = fitted.numbers("C");
  for (const int row : result.rows)
    basis.largest_C = std::max(basis.largest_C, C[static_cast<std::size_t>(row)]);
  basis.fitted_results = hash_of_results(fitted, result.rows);
  basis.data_checksum = grid.cells.front().spec.data_checksum;
  for (const sweep::Rule& rule : sweep.rules) basis.rules[rule.key] = rule.formula.text();
  return basis;
}

double lowest_fitted_loss(const fit::Table& fitted, const fit::FitResult& result) {
  const std::vector<double> losses = fitted.numbers("loss");
  double lowest = INFINITY;
  for (const int row : result.rows) lowest = std::min(lowest, losses[static_cast<std::size_t>(row)]);
  return lowest;
}

void require_unseen(const sweep::Grid& grid, const fit::Table& fitted) {
  if (!fitted.has("run")) return;  // a table of somebody else's runs
  const std::vector<std::string>& known = fitted.texts("run");
  for (const sweep::Cell& cell : grid.cells)
    if (std::ranges::find(known, cell.spec.identity) != known.end())
      throw RefusedError(fmt::format("{} is among the runs that the law is fitted to: it cannot be foretold",
                                     cell.spec.name));
}

}  // namespace

PredictionSet predictions_of(const sweep::SweepSpec& sweep, const sweep::Grid& grid, const fit::Table& fitted,
                             const PredictOptions& options) {
  require_unseen(grid, fitted);
  const fit::FitResult law =
      fit_at(fitted, options.law, places_of(grid, options.law), options, options.bootstrap);
  if (law.certificate.condition > 0 && !law.certificate.converged)
    throw RefusedError(fmt::format("the fit of {} did not converge: nothing is foretold from it", law.law));
  const fit::FitResult floorless =
      fit_at(fitted, options.floorless, places_of(grid, options.floorless), options, 0);
  const double unchanged = lowest_fitted_loss(fitted, law);
  PredictionSet set{basis_of(sweep, grid, fitted, law, options), {}};
  for (std::size_t i = 0; i < grid.cells.size(); ++i) {
    const sweep::Cell& cell = grid.cells[i];
    const fit::Prediction& p = law.predictions[i];
    if (!std::isfinite(p.new_run.low) || !std::isfinite(p.new_run.high))
      throw RefusedError(fmt::format("{}: {} gives the loss there no interval ({}): {} runs say too little",
                                     cell.spec.name, law.law, law.interval_method, law.n));
    set.list.push_back({cell.spec.identity,
                        cell.spec.name,
                        cell.spec.size,
                        cell.spec.n,
                        cell.spec.d,
                        cell.spec.c,
                        cell.spec.seed,
                        cell.config.train.lr,
                        cell.config.train.batch,
                        p.loss.value,
                        {p.loss.low, p.loss.high},
                        {p.new_run.low, p.new_run.high},
                        floorless.predictions[i].loss.value,
                        unchanged});
  }
  return set;
}

}  // namespace loglog::predict
