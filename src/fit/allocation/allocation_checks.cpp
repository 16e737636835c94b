#include "fit/allocation/allocation_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "fit/allocation/conversion.hpp"
#include "fit/allocation/frontier.hpp"
#include "fit/allocation/likelihood_ratio.hpp"
#include "fit/allocation/power.hpp"
#include "fit/bootstrap.hpp"
#include "fit/solve.hpp"

namespace loglog::fit {
namespace {

using Requirements = std::vector<Requirement>;

Requirement within(const std::string& what, double got, double value, double margin) {
  return {what, fmt::format("{:.7g} +- {:.2g}", value, margin), got, std::abs(got - value) <= margin};
}
Requirement near(const std::string& what, double got, double value, double relative) {
  return within(what, got, value, relative * std::abs(value));
}
Requirement between(const std::string& what, double got, double low, double high) {
  return {what, fmt::format("{:g} to {:g}", low, high), got, low <= got && got <= high};
}
Requirement shown(const std::string& what, double got) {
  return {what, "reported", got, std::isfinite(got)};
}

FittedLaw svg245(const Path& file, double delta, int resamples) {
  Table table = Table::read_csv(file);
  table.rename("Model Size", "N");
  table.rename("Training FLOP", "C");
  table.derive("D=C/(6*N)");
  ProcedureOptions options;
  options.delta = delta;
  options.drop_highest = 5;
  options.bootstrap = resamples;
  return fit_law(law_named("chinchilla"), table, options);
}

// Uncentred, of pair bootstraps, each descended to the end from the fit of all points.
std::vector<Vector> pair_bootstraps(const FittedLaw& fitted, int count) {
  const Points points = fitted.points();
  const Vector best = fitted.centred(points);
  const Bounds bounds = fitted.law->form->bounds(points);
  std::vector<Vector> thetas;
  for (int i = 0; i < count; ++i) {
    const std::vector<double> drawn =
        resample_counts(fitted.runs.cluster, fitted.runs.clusters, 1, static_cast<std::uint64_t>(i));
    thetas.push_back(fitted.law->form->restore(descend(points, drawn, fitted.huber(), bounds, best).theta,
                                               points.centres()));
  }
  return thetas;
}

Requirements bootstraps(const Path& file) {
  const FittedLaw fitted = svg245(file, 1e-3, 0);
  const std::vector<Vector> thetas = pair_bootstraps(fitted, 4000);
  const std::map<std::string, std::pair<double, double>> required = {
      {"E", {.02553, .05}}, {"alpha", {.01522, .05}}, {"beta", {.02058, .05}},
      {"a", {.0198, .05}},  {"A", {121, .10}},        {"B", {1368, .15}}};
  Requirements list;
  for (const auto* quantities : {&fitted.law->params, &fitted.law->optimum})
    for (const Quantity& q : *quantities) {
      const auto found = required.find(q.name);
      if (found == required.end()) continue;
      std::vector<double> values;
      for (const Vector& theta : thetas) values.push_back(q.value(theta));
      list.push_back(
          near("SE of " + q.name, std::sqrt(variance(values)), found->second.first, found->second.second));
    }
  return list;
}

const std::map<std::string, double> kHoffmann = {{"A", std::exp(6.0073404)},
                                                 {"B", std::exp(6.0179186)},
                                                 {"E", std::exp(.5267228)},
                                                 {"alpha", .33917084},
                                                 {"beta", .2849083}};

Requirements ratio_and_power(const Path& file) {
  const FittedLaw absolute = svg245(file, 1e-8, 0);
  const double ratio = likelihood_ratio(absolute, theta_of(*absolute.law, kHoffmann)).laplace;
  const FittedLaw fitted = svg245(file, 1e-3, 4000);
  return {
      within("likelihood ratio of Hoffmann's constants", ratio, 84.0, 0.2),
      near("runs for an 80% interval of a .001 wide", runs_needed(fitted, {"a", .001, .8}).runs, 6.3e5, .10)};
}

Requirements step_law(const Path& file) {
  Table table = Table::read_csv(file);
  table.rename("smooth_loss", "loss");
  table.derive("batch=bs*2048");
  const FitResult r = find_procedure("step-law").run(table, {});
  Interval exponent;
  for (const Interval& item : r.params)
    if (item.name == "batch_D") exponent = item;
  return {between("exponent of the batch", exponent.value, .534, .606),
          shown("its interval from", exponent.low), shown("its interval to", exponent.high)};
}

// The script of Pearce and Song: 20 sizes, 100 budgets, each size on the nearest of 1000 amounts of data.
Requirements pearce(const Path&) {
  struct Source {
    const char* name;
    std::map<std::string, double> constants;
    double a, a_total, loss_exponent;
  };
  const Source sources[] = {
      {"Epoch",
       {{"A", 482.01}, {"B", 2085.43}, {"E", 1.8172}, {"alpha", .3478}, {"beta", .3658}},
       .7805,
       .5154,
       .0690},
      {"Chinchilla",
       {{"A", 406.4}, {"B", 410.7}, {"E", 1.6934}, {"alpha", .3392}, {"beta", .2849}},
       .7388,
       .4577,
       .0659}};
  const ModelFamily family("N + 47491*N^(1/3)", std::pow(10, 2.9), std::pow(10, 9.2));
  const std::vector<double> tokens = log_spaced(1e6, 1e25, 1000);
  Requirements list;
  for (const Source& s : sources) {
    const auto law = law_named("chinchilla");
    const Vector theta = theta_of(*law, s.constants);
    const auto sweep = [&](Convention convention, double low) {
      return predict_sweep_of(*law, theta, family.models(), convention,
                              log_spaced(std::pow(10, low), std::pow(10, 20.7), 100), tokens);
    };
    const SweepPrediction other = sweep(Convention::other, 12.95), total = sweep(Convention::law, 14);
    list.push_back(within(fmt::format("{}: a, no embeddings", s.name), other.a, s.a, .002));
    list.push_back(within(fmt::format("{}: a, all parameters", s.name), total.a, s.a_total, .002));
    list.push_back(within(fmt::format("{}: exponent of the loss without a floor", s.name),
                          -other.loss_exponent, -s.loss_exponent, .002));
  }
  return list;
}

Requirements indifference(const Path& file) {
  const FittedLaw fitted = svg245(file, 1e-3, 0);
  const Frontier::Range range =
      Frontier(*fitted.law, TokenCost()).indifferent(fitted.result.theta, 5.76e23, 1e-3);
  return {near("least N within .1% of the best loss", range.low, 4.69e10, .02),
          near("largest N", range.high, 1.14e11, .02)};
}

// A published sweep whose compute is known.
struct Sweep {
  std::string name;
  std::string law;
  Table table;
};

std::vector<int> rows_where(const Table& table, const std::string& column, const std::string& value) {
  std::vector<int> rows;
  for (int row = 0; row < table.rows(); ++row)
    if (table.texts(column)[static_cast<std::size_t>(row)] == value) rows.push_back(row);
  return rows;
}

// Of each N and D the run of lowest loss: the others differ in learning rate or batch.
Table best_of_each(const Table& table) {
  const std::vector<double> N = table.numbers("N"), D = table.numbers("D"), loss = table.numbers("loss");
  std::map<std::pair<double, double>, int> best;
  for (int row = 0; row < table.rows(); ++row) {
    const auto i = static_cast<std::size_t>(row);
    const auto [place, is_new] = best.emplace(std::pair(N[i], D[i]), row);
    if (!is_new && loss[i] < loss[static_cast<std::size_t>(place->second)]) place->second = row;
  }
  std::vector<int> rows;
  for (const auto& [key, row] : best) rows.push_back(row);
  return table.select(rows);
}

std::vector<Sweep> sweeps_of_known_compute(const Path& folder) {
  std::vector<Sweep> list;
  Table svg = Table::read_csv(folder / "chinchilla_svg245/svg_extracted_data.csv");
  svg.rename("Model Size", "N");
  svg.rename("Training FLOP", "C");
  svg.derive("D=C/(6*N)");
  list.push_back({"svg245", "chinchilla", svg});
  list.push_back({"kyo234", "chinchilla", Table::read_csv(folder / "chinchilla_kyo234/df.csv")});
  Table misfitting = Table::read_csv(folder / "misfitting_c4/scaling_results_last_ckpt_only.csv");
  list.push_back({"misfitting, best rate", "chinchilla", best_of_each(misfitting)});
  Table porian = Table::read_csv(folder / "isoflop_porian_refinedweb/isoflop_points.csv");
  porian.rename("params", "N");
  porian.rename("tokens", "D");
  porian.rename("flops", "C");
  const std::vector<std::string> cells = porian.texts("config");
  for (const std::string& config : std::set<std::string>(cells.begin(), cells.end()))
    list.push_back({"Porian " + config, "chinchilla", porian.select(rows_where(porian, "config", config))});
  Table steps = Table::read_csv(folder / "hyperparameters_steplaw_dense/dense_lr_bs_loss.csv");
  steps.derive("C=6*N*D");
  list.push_back({"step law, best rate and batch", "chinchilla", best_of_each(steps)});
  Table clark = Table::read_csv(folder / "dense_clark/dense_final.csv");
  clark.derive("C=step*flops_per_step");
  clark.rename("loss_validation", "loss");
  list.push_back({"Clark", "power-C-floor", clark});
  return list;
}

struct Extrapolation {
  int inside = 0, runs = 0;
  double half_width = NAN;  // median over the dearer runs, relative
  std::string refusal;
};

Extrapolation extrapolate(const Sweep& sweep) {
  const std::vector<double> C = sweep.table.numbers("C");
  const double limit = *std::ranges::max_element(C) / 8;
  std::vector<int> cheap, dear;
  for (int row = 0; row < sweep.table.rows(); ++row)
    (C[static_cast<std::size_t>(row)] <= limit ? cheap : dear).push_back(row);
  const Table beyond = sweep.table.select(dear);
  const std::vector<double> loss = beyond.numbers("loss");
  const auto law = law_named(sweep.law);
  ProcedureOptions options;
  options.places.resize(dear.size());
  for (const std::string& variable : law->variables) {
    const std::vector<double> values = beyond.numbers(variable);
    for (std::size_t i = 0; i < values.size(); ++i) options.places[i][variable] = values[i];
  }
  Extrapolation e;
  try {
    const FitResult r = find_procedure(sweep.law).run(sweep.table.select(cheap), options);
    if (!r.identified) {
      e.refusal = "not identified";
      return e;
    }
    std::vector<double> widths;
    for (std::size_t i = 0; i < loss.size(); ++i) {
      const Interval& run = r.predictions[i].new_run;
      e.inside += run.low <= loss[i] && loss[i] <= run.high;
      widths.push_back((run.high - run.low) / (2 * run.value));
    }
    e.runs = static_cast<int>(loss.size());
    e.half_width = median(widths);
  } catch (const InputError& error) {
    e.refusal = error.what();
  }
  return e;
}

Requirements extrapolations(const Path& folder) {
  Requirements list;
  int inside = 0, runs = 0, refused = 0;
  for (const Sweep& sweep : sweeps_of_known_compute(folder)) {
    const Extrapolation e = extrapolate(sweep);
    if (!e.refusal.empty()) {
      ++refused;
      list.push_back({sweep.name + ": refused, " + e.refusal, "counted apart", 1, true});
      continue;
    }
    inside += e.inside, runs += e.runs;
    list.push_back(shown(fmt::format("{}: share of {} dearer runs inside", sweep.name, e.runs),
                         static_cast<double>(e.inside) / e.runs));
    list.push_back(shown("  median half width", e.half_width));
  }
  list.push_back(shown("sweeps that were refused", refused));
  const double share = static_cast<double>(inside) / runs;
  list.push_back(
      {fmt::format("share of all {} dearer runs inside", runs), "at least 0.85", share, share >= .85});
  return list;
}

}  // namespace

std::vector<AccuracyCheck> allocation_checks() {
  static const char* const kSvg = "chinchilla_svg245/svg_extracted_data.csv";
  return {
      {"P5", "4000 pair bootstraps of the digitised runs", kSvg, bootstraps},
      {"P6", "likelihood ratio and power on the digitised runs", kSvg, ratio_and_power},
      {"P12", "the Step Law's learning rates and batches",
       "hyperparameters_steplaw_dense/dense_lr_bs_loss.csv", step_law},
      {"P15", "Pearce and Song: exponents in another count", "", pearce},
      {"P17", "sizes as good as the best at 5.76e23 FLOPs", kSvg, indifference},
      {"P18", "each sweep fitted up to an eighth of its largest compute, its dearer runs predicted", ".",
       extrapolations},
  };
}

}  // namespace loglog::fit
