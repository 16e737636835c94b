// The page about one sweep: what was trained, what was fitted to it, how sure that is.
//
// Everything here is plain data, whoever made it: a store and the fitter (from_store.hpp), or a test.
// Losses are nats per token, N counts parameters, D training tokens, C training FLOPs.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report/html.hpp"

namespace loglog::report {

struct CurvePoint {
  double tokens;
  std::optional<double> train_loss;
  std::optional<double> val_loss;
};

struct ReportRun {
  std::string name;
  std::string size;
  std::int64_t seed = 0;
  double n = 0;
  double d = 0;
  double c = 0;
  double budget = 0;  // FLOPs of the IsoFLOP budget it belongs to; 0 for none
  std::string state;  // done, diverged, failed, ...
  std::optional<double> loss;
  double seconds = 0;
  double epochs = 0;
  std::string excluded;  // why no fit uses it; empty when it is used
  std::vector<CurvePoint> curve;
};

// A fitted number with its 95% interval; lo and hi are NaN, or infinite on a side, where the data set none.
struct Estimate {
  double value;
  double lo;
  double hi;
  bool bounded() const;  // the interval is finite on both sides
};
using Estimates = std::vector<std::pair<std::string, Estimate>>;  // by name, in the order of the table

// Where the best size lies for a compute budget, with its 95% band.
struct FrontierPoint {
  double c;
  Estimate n;
};

// Runs of one budget and the curve through them.
struct IsoflopBudget {
  double budget;
  std::function<double(double n)> loss;  // the parabola; empty when none could be fitted
  std::optional<Estimate> best_n;        // empty when there is no minimum inside
  double best_loss = 0;                  // at best_n
  std::string problem;                   // why this budget was left out; empty when it was not
};

struct LawFit {
  std::string law;      // "chinchilla"
  std::string formula;  // "L = E + A/N^alpha + B/D^beta"
  std::string source;   // who proposed it
  std::string refusal;  // why there is no fit; the rest is empty then
  bool identified = true;
  std::size_t runs = 0;
  Estimates params;
  Estimates optimum;                   // a of N_opt ~ C^a, b of D_opt ~ C^b
  std::vector<std::string> variables;  // what predict() takes, in order, of "N", "D", "C"
  std::function<double(const std::vector<double>& x)> predict;  // empty for isoflop and envelope
  std::vector<FrontierPoint> frontier;
  std::vector<IsoflopBudget> budgets;
  std::vector<std::pair<std::string, std::string>> certificate;  // objective, starts, condition, ...
  std::vector<std::string> warnings;
  nlohmann::json json;  // the fitter's own output
};

// What is known of the data's entropy when it came from a procedural source.
struct KnownFloor {
  std::optional<double> validation_loss;  // the source's own loss on the validation tokens
  std::optional<double> entropy_rate;
  std::optional<double> context_entropy;  // H(X_1..X_T) / T for the context T of the runs
};

struct SweepReport {
  std::string title;
  std::vector<ReportRun> runs;
  std::vector<LawFit> fits;
  KnownFloor floor;
  std::vector<std::string> commands;                               // that made store and page, in order
  std::vector<std::pair<std::string, std::string>> circumstances;  // data, machine, versions
  std::vector<std::string> warnings;                               // of the sweep itself
};

// The findings in sentences: exponents, floor beside what is known, and what is not identified.
std::vector<std::string> headline(const SweepReport& report);

// All pictures for which there is something to show.
std::vector<Figure> figures(const SweepReport& report);

// Draws a figure as SVG, or returns "" when there is nothing to draw with.
using Draw = std::function<std::string(const Figure& figure)>;

std::string sweep_page(const SweepReport& report, const Draw& draw);

// "0.49 (95% interval 0.46 to 0.53)", or with what is wrong with the interval.
std::string in_words(const Estimate& estimate);

}  // namespace loglog::report
