#include "fit/choice/suspicions.hpp"

#include <cmath>

#include "base/rng.hpp"
#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using namespace loglog::testing;

namespace {

Table table_of(const Runs& runs) {
  Table table("runs.csv");
  for (std::size_t v = 0; v < runs.variables.size(); ++v) table.add(runs.variables[v], runs.columns[v]);
  table.add("loss", runs.loss);
  return table;
}

FitResult fitted(const Table& table, int bootstrap = 0, const std::string& interval = "auto") {
  ProcedureOptions options;
  options.bootstrap = bootstrap, options.interval = interval;
  return find_procedure("chinchilla").run(table, options);
}

bool warns(const FitResult& result, const std::string& text) {
  for (const std::string& warning : result.warnings)
    if (warning.find(text) != std::string::npos) return true;
  return false;
}

// 24 runs, 6 sizes and 4 lengths, of five checkpoints each: a run's own deviation of 0.6%, a checkpoint's of 0.2%.
Runs checkpoint_sweep(std::uint64_t seed) {
  const Truth truth;
  Runs runs = empty_runs({"N", "D"});
  const Rng rng(seed, 3);
  for (int run = 0; run < 24; ++run) {
    const double N = 1e4 * std::pow(300.0, run / 4 / 5.0), end = N * 5 * std::pow(2.5, run % 4);
    const double of_run = 0.006 * rng.normal(static_cast<std::uint64_t>(1000 + run));
    for (int c = 1; c <= 5; ++c) {
      const double D = end * c / 5, z = of_run + 0.002 * rng.normal(static_cast<std::uint64_t>(runs.size()));
      add_run(runs, {N, D}, truth.loss(N, D) * std::exp(z), run);
    }
  }
  return runs;
}

}  // namespace

TEST_CASE("checkpoints are suspected where no column says which rows share a run") {
  int suspected = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed)
    suspected += warns(fitted(table_of(checkpoint_sweep(seed))), "checkpoints of one run") ? 1 : 0;
  CHECK(suspected >= 9);
  Table named = table_of(checkpoint_sweep(1));
  std::vector<std::string> runs;
  for (int row = 0; row < named.rows(); ++row) runs.push_back(std::to_string(row / 5));
  named.add("run", runs);
  CHECK_FALSE(warns(fitted(named), "checkpoints of one run"));
}

TEST_CASE("a grid of independent runs is not taken for checkpoints") {
  int suspected = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed)
    suspected += warns(fitted(table_of(lab_sweep(0.01, seed))), "checkpoints of one run") ? 1 : 0;
  CHECK(suspected <= 1);  // the test is at 0.001
}

TEST_CASE("losses from before the end of a run, without a column run") {
  Table table = table_of(checkpoint_sweep(1));
  std::vector<double> progress;
  for (int row = 0; row < table.rows(); ++row) progress.push_back(0.2 * (1 + row % 5));
  table.add("progress", progress);
  CHECK(warns(fitted(table), "96 losses were read before the end of a run"));
}

TEST_CASE("runs that diverged without a status are named, the furthest first") {
  Runs runs = lab_sweep(0.003, 2);
  CHECK_FALSE(warns(fitted(table_of(runs)), "further from the law"));
  runs.loss[7] *= 1.25, runs.loss[21] *= 1.45;
  const FitResult result = fitted(table_of(runs));
  CHECK(warns(result, "2 rows lie further from the law"));
  bool in_order = false;
  for (const std::string& warning : result.warnings)
    in_order =
        in_order || (warning.find("(+4") != std::string::npos && warning.find("(+4") < warning.find("(+2"));
  CHECK(in_order);
}

TEST_CASE("a profile that does not close is said, with every kind of interval") {
  Truth truth;
  truth.E = 0.02;  // lost in the noise
  const Table table = table_of(lab_sweep(0.05, 5, truth));
  CHECK(warns(fitted(table, 20), "does not close below"));
  CHECK(warns(fitted(table, 20, "profile"), "does not close below"));
  CHECK_FALSE(warns(fitted(table_of(lab_sweep(0.003, 5)), 20), "does not close"));
}

TEST_CASE("degrees of freedom are counted in runs") {
  Runs runs = lab_sweep(0.003, 1);
  Table table = table_of(runs);
  std::vector<std::string> names;
  for (int row = 0; row < table.rows(); ++row) names.push_back(std::to_string(row / 7));
  table.add("run", names);
  CHECK(warns(fitted(table), "6 independent runs for 5 parameters: 1 residual degrees of freedom"));
}
