// loglog outliers --ladder, --checkpoints: outlier measures of many models against their loss and size.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/rank_correlation.hpp"
#include "base/resample.hpp"
#include "base/stats.hpp"
#include "cli/outliers.hpp"
#include "cli/picture_file.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "model/checkpoint.hpp"
#include "model/count.hpp"
#include "studies/outliers_figures.hpp"
#include "sweep/store.hpp"
#include "train/run_record.hpp"

namespace loglog::cli {
namespace {

using train::Json;
using train::number;

using eval::OutlierRung;

// By the criterion, and by the relative one where that is asked.
std::size_t outliers_of(const OutlierRung& r) {
  return r.outliers.front();
}
std::size_t relative_of(const OutlierArguments& a, const OutlierRung& r) {
  return a.survey.relative > 0 ? r.outliers.back() : 0;
}

// A rank correlation and its 95% percentile interval over resampled models. NaN where ranks say nothing.
struct Correlation {
  const char* measure;
  const char* with;
  double value, low, high;
  std::uint64_t resamples;  // that have one
};

// Of measure, loss and ln N.
Correlation correlate(const char* measure, const char* with, double (*statistic)(const Columns&),
                      const Columns& columns, const OutlierArguments& a) {
  if (columns.front().size() < 3) return {measure, with, std::nan(""), std::nan(""), std::nan(""), 0};
  const std::vector<double> values = resampled(columns, {}, statistic, a.resamples, a.survey.seed).values;
  return {measure, with, statistic(columns), quantile(values, 0.025), quantile(values, 0.975), values.size()};
}

std::vector<Correlation> correlations(const std::vector<OutlierRung>& rungs, const OutlierArguments& a) {
  std::vector<Correlation> all;
  for (const auto& [measure, value] : {std::pair{"kurtosis", &OutlierRung::kurtosis},
                                       std::pair{"max_to_median", &OutlierRung::max_to_median}}) {
    Columns columns(3);
    for (const OutlierRung& r : rungs) {
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

void print_json(const OutlierArguments& a, const std::string& subject, const std::vector<OutlierRung>& rungs,
                const std::vector<Correlation>& found, std::size_t without) {
  Json out = {{"ladder", subject},
              {"without_checkpoint", without},
              {"models", Json::array()},
              {"correlations", Json::array()}};
  for (const OutlierRung& r : rungs)
    out["models"].push_back({{"name", r.name},
                             {"N", r.n},
                             {"D", r.d},
                             {"step", r.step},
                             {"loss", number(r.loss)},
                             {"kurtosis", number(r.kurtosis)},
                             {"max_to_median", number(r.max_to_median)},
                             {"outliers", outliers_of(r)},
                             {"relative_outliers", relative_of(a, r)},
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

void print_text(const OutlierArguments& a, const std::vector<OutlierRung>& rungs,
                const std::vector<Correlation>& found, std::size_t without) {
  fmt::print("{:<28} {:>9} {:>8} {:>8} {:>9} {:>10} {:>9} {:>9} {:>8} {:>7} {:>7}\n", "model", "N", "step",
             "loss", "kurtosis", "max/median", "outliers", "relative", "overlap", "top-1", "first");
  for (const OutlierRung& r : rungs)
    fmt::print("{:<28} {:>9} {:>8} {:>8.4f} {:>9.4g} {:>10.4g} {:>9} {:>9} {:>7.1f}% {:>6.1f}% {:>6.1f}%\n",
               r.name, report::short_number(r.n), r.step, r.loss, r.kurtosis, r.max_to_median, outliers_of(r),
               relative_of(a, r), 100 * r.overlap, 100 * r.top1, 100 * r.first_token);
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

// Kurtosis against loss, every model by itself; or against steps for the checkpoints of one run.
report::Figure picture_of(const std::string& subject, const std::vector<OutlierRung>& rungs,
                          bool of_one_run) {
  std::vector<std::vector<OutlierRung>> runs;
  if (of_one_run)
    runs = {rungs};
  else
    for (const OutlierRung& r : rungs) runs.push_back({r});
  return studies::outlier_curves(
      {"outlier-ladder", fmt::format("Kurtosis of the dimensions' RMS: {}", subject), "kurtosis",
       &OutlierRung::kurtosis, of_one_run},
      runs);
}

int tell_ladder(const OutlierArguments& a, const std::string& subject, const std::vector<OutlierRung>& rungs,
                std::size_t without) {
  const std::vector<Correlation> found = correlations(rungs, a);
  if (a.json)
    print_json(a, subject, rungs, found, without);
  else
    print_text(a, rungs, found, without);
  for (const std::string& path : {a.png, a.svg})
    if (!path.empty()) write_picture(path, picture_of(subject, rungs, a.checkpoints));
  const bool finite = std::ranges::all_of(rungs, &OutlierRung::is_finite);
  return static_cast<int>(finite ? Exit::done : Exit::diverged);
}

}  // namespace

int outliers_of_ladder(const OutlierArguments& a, const Environment& environment) {
  const sweep::Store store(a.ladder, sweep::Store::Mode::read);
  install_stop_signals();
  std::vector<OutlierRung> rungs;
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
    const auto model = survey_showing(one, data, passes, environment.terminal);
    if (!model) return stop_exit_code();
    rungs.push_back(eval::rung_of(row.spec.name, row.spec.n, row.spec.d, choice.opened().step, *model));
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
  const ModelData data(a.data, choice);
  install_stop_signals();
  const auto n = static_cast<double>(model::count_parameters(choice.config().model).n_matrix);
  std::vector<OutlierRung> rungs;
  for (model::OpenedModel& checkpoint : model::open_checkpoints(a.model.path)) {
    const ModelChoice one = choice.of(std::move(checkpoint));
    const model::Index step = one.opened().step;
    ModelPasses passes(one, one.weights(), data, static_cast<model::Index>(a.windows), 0,
                       rungs.empty() ? MemoryLine::told : MemoryLine::silent);
    const auto model = survey_showing(a, data, passes, environment.terminal);
    if (!model) return stop_exit_code();
    rungs.push_back(eval::rung_of(fmt::format("step {}", step), n, 0, step, *model));
  }
  return tell_ladder(a, a.model.path, rungs, 0);
}

}  // namespace loglog::cli
