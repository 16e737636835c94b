// loglog outliers --ladder, --checkpoints: outlier measures of many models against their loss and size.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/rank_correlation.hpp"
#include "base/rng.hpp"
#include "base/stats.hpp"
#include "cli/outliers.hpp"
#include "cli/picture_file.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "model/checkpoint.hpp"
#include "model/count.hpp"
#include "sweep/store.hpp"
#include "train/run_record.hpp"

namespace loglog::cli {
namespace {

using train::Json;
using train::number;

// One model. What depends on the unit of activations is only counted; the rest is scale-free.
struct Rung {
  std::string name;
  double n, d;  // parameters and tokens of the run; d 0 for a checkpoint
  std::int64_t step;
  double loss, kurtosis, max_to_median;
  std::size_t outliers, relative_outliers;
  double overlap, overlap_p, top1, first_token;
  bool is_finite;
};

Rung rung_of(std::string name, double n, double d, const OutlierResult& r) {
  const quant::Criterion& last = r.survey.criteria.back();
  return {std::move(name),
          n,
          d,
          r.step,
          *r.loss,
          r.survey.kurtosis(r.sites),
          r.survey.max_to_median(r.sites),
          r.survey.outliers().size(),
          last.is_relative ? last.verdict.outliers.size() : 0,
          r.survey.overlap.observed,
          r.survey.overlap.p,
          r.attention->top1(),
          r.attention->sink(),
          r.is_finite()};
}

// A rank correlation and its 95% percentile interval over resampled models. NaN where ranks say nothing.
struct Correlation {
  const char* measure;
  const char* with;
  double value, low, high;
  std::uint64_t resamples;  // that have one
};

using Columns = std::vector<std::vector<double>>;  // measure, loss, ln N
using Statistic = double (*)(const Columns&);

Columns resampled(const Columns& columns, std::uint64_t seed, std::uint64_t draw) {
  const Rng rng(seed, draw);
  const std::size_t n = columns.front().size();
  Columns drawn(columns.size());
  for (std::size_t i = 0; i < n; ++i) {
    const auto row = static_cast<std::size_t>(rng.below(i, n));
    for (std::size_t c = 0; c < columns.size(); ++c) drawn[c].push_back(columns[c][row]);
  }
  return drawn;
}

Correlation correlate(const char* measure, const char* with, Statistic statistic, const Columns& columns,
                      const OutlierArguments& a) {
  std::vector<double> values;
  const bool enough = columns.front().size() >= 3;
  for (std::uint64_t draw = 0; enough && draw < a.resamples; ++draw) {
    const double value = statistic(resampled(columns, a.survey.seed, draw));
    if (std::isfinite(value)) values.push_back(value);
  }
  return {measure,
          with,
          enough ? statistic(columns) : std::nan(""),
          quantile(values, 0.025),
          quantile(values, 0.975),
          values.size()};
}

std::vector<Correlation> correlations(const std::vector<Rung>& rungs, const OutlierArguments& a) {
  std::vector<Correlation> all;
  for (const auto& [measure, value] :
       {std::pair{"kurtosis", &Rung::kurtosis}, std::pair{"max_to_median", &Rung::max_to_median}}) {
    Columns columns(3);
    for (const Rung& r : rungs) {
      if (!r.is_finite || std::isnan(r.*value)) continue;
      columns[0].push_back(r.*value);
      columns[1].push_back(r.loss);
      columns[2].push_back(std::log(r.n));
    }
    all.push_back(correlate(
        measure, "loss", [](const Columns& c) { return spearman(c[0], c[1]); }, columns, a));
    all.push_back(correlate(
        measure, "N", [](const Columns& c) { return spearman(c[0], c[2]); }, columns, a));
    all.push_back(correlate(
        measure, "loss given N", [](const Columns& c) { return partial_spearman(c[0], c[1], c[2]); }, columns,
        a));
    all.push_back(correlate(
        measure, "N given loss", [](const Columns& c) { return partial_spearman(c[0], c[2], c[1]); }, columns,
        a));
  }
  return all;
}

void print_json(const std::string& subject, const std::vector<Rung>& rungs,
                const std::vector<Correlation>& found, std::size_t without) {
  Json out = {{"ladder", subject},
              {"without_checkpoint", without},
              {"models", Json::array()},
              {"correlations", Json::array()}};
  for (const Rung& r : rungs)
    out["models"].push_back({{"name", r.name},
                             {"N", r.n},
                             {"D", r.d},
                             {"step", r.step},
                             {"loss", number(r.loss)},
                             {"kurtosis", number(r.kurtosis)},
                             {"max_to_median", number(r.max_to_median)},
                             {"outliers", r.outliers},
                             {"relative_outliers", r.relative_outliers},
                             {"overlap", number(r.overlap)},
                             {"overlap_p", number(r.overlap_p)},
                             {"top1", number(r.top1)},
                             {"first_token", number(r.first_token)}});
  for (const Correlation& c : found)
    out["correlations"].push_back({{"of", c.measure},
                                   {"with", c.with},
                                   {"spearman", number(c.value)},
                                   {"low", number(c.low)},
                                   {"high", number(c.high)},
                                   {"resamples", c.resamples}});
  fmt::print("{}\n", json_text(out, 2));
}

void print_text(const std::vector<Rung>& rungs, const std::vector<Correlation>& found, std::size_t without) {
  fmt::print("{:<28} {:>9} {:>8} {:>8} {:>9} {:>10} {:>9} {:>9} {:>8} {:>7} {:>7}\n", "model", "N", "step",
             "loss", "kurtosis", "max/median", "outliers", "relative", "overlap", "top-1", "first");
  for (const Rung& r : rungs)
    fmt::print("{:<28} {:>9} {:>8} {:>8.4f} {:>9.4g} {:>10.4g} {:>9} {:>9} {:>7.1f}% {:>6.1f}% {:>6.1f}%\n",
               r.name, report::short_number(r.n), r.step, r.loss, r.kurtosis, r.max_to_median, r.outliers,
               r.relative_outliers, 100 * r.overlap, 100 * r.top1, 100 * r.first_token);
  if (without > 0)
    fmt::print("{} finished run{} kept no checkpoint: `loglog sweep run --keep` keeps them\n", without,
               without == 1 ? "" : "s");
  if (std::ranges::all_of(found, [](const Correlation& c) { return std::isnan(c.value); })) {
    fmt::print("No rank correlation: it takes three models that differ\n");
    return;
  }
  fmt::print("\n{:<16} {:<14} {:>9}  95% interval\n", "rank correlation", "with", "Spearman");
  for (const Correlation& c : found) {
    if (std::isnan(c.value)) continue;
    fmt::print("{:<16} {:<14} {:>9.3f}  {:.3f} to {:.3f}\n", c.measure, c.with, c.value, c.low, c.high);
  }
}

// Whether a logarithmic axis has ticks to show.
bool spans_decades(const std::vector<Rung>& rungs) {
  const auto [low, high] = std::ranges::minmax(rungs, {}, &Rung::kurtosis);
  return high.kurtosis > 5 * low.kurtosis;
}

// Kurtosis against loss, a colour for each size; or against steps for the checkpoints of one run.
report::Figure curves(const std::string& subject, const std::vector<Rung>& rungs, bool by_step) {
  report::Figure figure{"outlier-ladder",
                        fmt::format("Kurtosis of the dimensions' RMS: {}", subject),
                        "",
                        {by_step ? "step" : "loss, nats per token"},
                        {"kurtosis", spans_decades(rungs)}};
  std::set<double> sizes;
  for (const Rung& r : rungs) sizes.insert(r.n);
  double place = 0;
  for (const double n : sizes) {
    report::Series points{report::short_number(n)};
    points.shade = sizes.size() > 1 ? place++ / static_cast<double>(sizes.size() - 1) : 0.0;
    for (const Rung& r : rungs) {
      if (r.n != n) continue;
      points.x.push_back(by_step ? static_cast<double>(r.step) : r.loss);
      points.y.push_back(r.kurtosis);
      points.hover.push_back(fmt::format("{}: loss {:.4f}, kurtosis {:.4g}", r.name, r.loss, r.kurtosis));
    }
    if (by_step) figure.series.push_back({"", report::Mark::line, 6, points.x, points.y});
    figure.series.push_back(std::move(points));
  }
  figure.legend_title = "N";
  return figure;
}

int tell_ladder(const OutlierArguments& a, const std::string& subject, const std::vector<Rung>& rungs,
                std::size_t without) {
  const std::vector<Correlation> found = correlations(rungs, a);
  if (a.json)
    print_json(subject, rungs, found, without);
  else
    print_text(rungs, found, without);
  for (const std::string& path : {a.png, a.svg})
    if (!path.empty()) write_picture(path, curves(subject, rungs, a.checkpoints));
  const bool finite = std::ranges::all_of(rungs, &Rung::is_finite);
  return static_cast<int>(finite ? Exit::done : Exit::diverged);
}

}  // namespace

int outliers_of_ladder(const OutlierArguments& a, const Environment& environment) {
  const sweep::Store store(a.ladder, sweep::Store::Mode::read);
  install_stop_signals();
  std::vector<Rung> rungs;
  std::size_t without = 0;
  for (const sweep::RunRow& row : store.runs_of(a.sweep)) {
    if (row.state != sweep::State::done) continue;
    const std::optional<Path> folder = store.kept_run(row.spec.identity);
    if (!folder) {
      ++without;
      continue;
    }
    OutlierArguments one = a;
    one.model.path = folder->native();
    talk("loglog: {}\n", row.spec.name);
    const ModelChoice choice(one.model, environment);
    const ModelData data(one.data, choice);
    ModelPasses passes(choice, data, static_cast<model::Index>(a.windows));
    const auto result = measure_outliers(one, choice, data, passes, environment.terminal);
    if (!result) return stop_exit_code();
    rungs.push_back(rung_of(row.spec.name, row.spec.n, row.spec.d, *result));
  }
  if (rungs.empty())
    throw RefusedError(
        fmt::format("'{}' has no finished run with its checkpoint ({} without): `loglog sweep run "
                    "--keep` keeps them",
                    a.ladder, without));
  return tell_ladder(a, a.ladder, rungs, without);
}

int outliers_of_checkpoints(const OutlierArguments& a, const Environment& environment) {
  const ModelChoice choice(a.model, environment);
  const Path folder = Path(a.model.path) / model::kCheckpointFolder;
  if (!path_exists(folder))
    throw UsageError(fmt::format("--checkpoints: '{}' is no run of `loglog train --out`", a.model.path));
  const model::CheckpointFolder checkpoints(real_file_system(), folder);
  std::vector<model::Index> steps;
  for (auto step = std::optional(choice.opened().step); step; step = checkpoints.last_until(*step - 1))
    steps.insert(steps.begin(), *step);
  const ModelData data(a.data, choice);
  install_stop_signals();
  ModelPasses passes(choice, data, static_cast<model::Index>(a.windows));
  const auto n = static_cast<double>(model::count_parameters(choice.config().model).n_matrix);
  std::vector<Rung> rungs;
  for (const model::Index step : steps) {
    model::OpenedModel opened = choice.opened();
    checkpoints.at(step);  // its sums are right
    opened.tensors = checkpoints.tensor_path(step);
    model::load_parameters(opened, passes.gpt());
    auto result = measure_outliers(a, choice, data, passes, environment.terminal);
    if (!result) return stop_exit_code();
    result->step = step;
    rungs.push_back(rung_of(fmt::format("step {}", step), n, 0, *result));
  }
  return tell_ladder(a, a.model.path, rungs, 0);
}

}  // namespace loglog::cli
