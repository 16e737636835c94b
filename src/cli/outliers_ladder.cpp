// loglog outliers --ladder, --checkpoints: outlier measures of many models against their loss and size.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json_text.hpp"
#include "cli/outliers.hpp"
#include "cli/picture_file.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "model/batch_size.hpp"
#include "model/checkpoint.hpp"
#include "model/count.hpp"
#include "studies/outliers_figures.hpp"
#include "studies/outliers_measures.hpp"
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

// A rank correlation and its 95% percentile interval over runs drawn with replacement. NaN where ranks say nothing.
struct Correlation {
  const char* measure;
  const char* with;
  double value;
  std::size_t runs;                                   // that it is of
  std::optional<std::pair<double, double>> interval;  // not of a single one
  std::size_t resamples;                              // that have a value
};

Correlation correlation(const char* measure, const char* with, studies::Measure m, std::size_t runs) {
  std::erase_if(m.samples, [](double x) { return !std::isfinite(x); });
  if (runs < 2 || m.samples.empty()) return {measure, with, m.value, runs, std::nullopt, 0};
  return {measure, with, m.value, runs, std::pair(m.quantile(0.025), m.quantile(0.975)), m.samples.size()};
}

std::vector<Correlation> correlations(const OutlierArguments& a, const studies::Rungs& runs) {
  std::vector<Correlation> all;
  for (const auto& [measure, value] : {std::pair{"kurtosis", &OutlierRung::kurtosis},
                                       std::pair{"max_to_median", &OutlierRung::max_to_median}}) {
    const studies::Ranks r = studies::ranks_of(runs, value, a.survey.seed, a.resamples.value_or(kResamples));
    for (const auto& [with, m] : {std::pair{"loss", &r.with_loss},
                                  {"N", &r.with_n},
                                  {"loss given N", &r.with_loss_given_n},
                                  {"N given loss", &r.with_n_given_loss}})
      all.push_back(correlation(measure, with, *m, r.runs));
  }
  return all;
}

// What is told of a ladder.
struct Ladder {
  std::string subject;      // store, or run
  studies::Rungs runs;      // each with its checkpoints
  std::size_t without = 0;  // finished runs that kept none

  std::vector<OutlierRung> rungs() const {
    std::vector<OutlierRung> all;
    for (const auto& run : runs) all.insert(all.end(), run.begin(), run.end());
    return all;
  }
};

void print_json(const OutlierArguments& a, const Ladder& ladder, const std::vector<Correlation>& found) {
  Json out = {{"ladder", ladder.subject},
              {"without_checkpoint", ladder.without},
              {"models", Json::array()},
              {"correlations", Json::array()}};
  for (const OutlierRung& r : ladder.rungs())
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
                                   {"low", c.interval ? Json(c.interval->first) : Json()},
                                   {"high", c.interval ? Json(c.interval->second) : Json()},
                                   {"resamples", c.resamples}});
  fmt::print("{}\n", json_text(out, 2));
}

void print_models(const OutlierArguments& a, const Ladder& ladder) {
  fmt::print("{:<28} {:>9} {:>8} {:>8} {:>9} {:>10} {:>9} {:>9} {:>8} {:>7} {:>7}\n", "model", "N", "step",
             "loss", "kurtosis", "max/median", "outliers", "relative", "overlap", "top-1", "first");
  for (const OutlierRung& r : ladder.rungs())
    fmt::print("{:<28} {:>9} {:>8} {:>8.4f} {:>9.4g} {:>10.4g} {:>9} {:>9} {:>8} {:>7} {:>7}\n", r.name,
               report::short_number(r.n), r.step, r.loss, r.kurtosis, r.max_to_median, outliers_of(r),
               relative_of(a, r), percent(r.overlap), percent(r.top1), percent(r.first_token));
  if (ladder.without > 0)
    fmt::print("{} finished run{} kept no checkpoint: `loglog sweep run --keep` keeps them\n", ladder.without,
               ladder.without == 1 ? "" : "s");
}

void print_correlations(const OutlierArguments& a, const std::vector<Correlation>& found) {
  if (std::ranges::all_of(found, [](const Correlation& c) { return std::isnan(c.value); })) {
    fmt::print("No rank correlation: it takes three models that differ{}\n",
               a.checkpoints ? "; train.keep_every keeps more checkpoints of a run" : "");
    return;
  }
  fmt::print("\n{:<16} {:<14} {:>9}  95% interval\n", "rank correlation", "with", "Spearman");
  for (const Correlation& c : found) {
    if (std::isnan(c.value)) continue;
    fmt::print("{:<16} {:<14} {:>9.3f}  {}\n", c.measure, c.with, c.value,
               c.interval ? fmt::format("{:.3f} to {:.3f}", c.interval->first, c.interval->second) : "-");
  }
  if (std::ranges::all_of(found, [](const Correlation& c) { return c.runs < 2; }))
    fmt::print("No intervals: models of one run depend on each other, and say nothing of other runs\n");
}

// Kurtosis against loss; or against steps for the checkpoints of one run.
report::Figure picture_of(const Ladder& ladder, bool by_step) {
  return studies::outlier_curves(
      {"outlier-ladder", fmt::format("Kurtosis of the dimensions' RMS: {}", ladder.subject), "kurtosis",
       &OutlierRung::kurtosis, by_step},
      ladder.runs);
}

int tell_ladder(const OutlierArguments& a, const Ladder& ladder) {
  const std::vector<Correlation> found = correlations(a, ladder.runs);
  if (a.json) {
    print_json(a, ladder, found);
  } else {
    print_models(a, ladder);
    print_correlations(a, found);
  }
  for (const std::string& path : {a.png, a.svg})
    if (!path.empty()) write_picture(path, picture_of(ladder, a.checkpoints));
  const bool finite = std::ranges::all_of(ladder.rungs(), &OutlierRung::is_finite);
  return static_cast<int>(finite ? Exit::done : Exit::diverged);
}

}  // namespace

int outliers_of_ladder(const OutlierArguments& a, const Environment& environment) {
  std::error_code absent;
  if (path_exists(a.ladder) && !std::filesystem::is_regular_file(a.ladder, absent))
    throw InputError(
        fmt::format("--ladder '{}': a folder, a pipe or a device is no store of a sweep", a.ladder));
  const sweep::Store store(a.ladder, sweep::Store::Mode::read);
  install_stop_signals();
  Ladder ladder{a.ladder, {}};
  for (const sweep::RunRow& row : store.runs_of(a.sweep)) {
    if (row.state != sweep::State::done) continue;
    const std::optional<Path> folder = store.kept_run(row.spec.identity);
    if (!folder) {
      ++ladder.without;
      continue;
    }
    OutlierArguments one = a;
    one.model.path = folder->native();
    talk("loglog: {}\n", row.spec.name);
    const ModelChoice choice(one.model, environment);
    one.survey.sites = sites_of_model(a.survey.sites, choice.config().model);
    const ModelData data(one.data, choice);
    ModelPasses passes(choice, data, static_cast<model::Index>(a.windows));
    const auto model = survey_showing(one, data, passes, environment.terminal);
    if (!model) return stop_exit_code();
    ladder.runs.push_back(
        {eval::rung_of(row.spec.name, row.spec.n, row.spec.d, choice.opened().step, *model)});
  }
  if (ladder.runs.empty())
    throw RefusedError(
        fmt::format("'{}' has no finished run with its checkpoint ({} without): `loglog sweep run "
                    "--keep` keeps them",
                    a.ladder, ladder.without));
  return tell_ladder(a, ladder);
}

int outliers_of_checkpoints(OutlierArguments a, const Environment& environment) {
  const ModelChoice choice(a.model, environment);
  const Path folder = Path(a.model.path) / model::kCheckpointFolder;
  if (!path_exists(folder))
    throw UsageError(fmt::format("--checkpoints: '{}' is no run of `loglog train --out`", a.model.path));
  a.survey.sites = sites_of_model(a.survey.sites, choice.config().model);
  const ModelData data(a.data, choice);
  install_stop_signals();
  const model::RunConfig& config = choice.config();
  const auto n = static_cast<double>(model::count_parameters(config.model).n_matrix);
  std::vector<OutlierRung> rungs;
  for (model::OpenedModel& checkpoint : model::open_checkpoints(a.model.path)) {
    const ModelChoice one = choice.of(std::move(checkpoint));
    const model::Index step = one.opened().step;
    ModelPasses passes(one, one.weights(), data, static_cast<model::Index>(a.windows), 0,
                       rungs.empty() ? MemoryLine::told : MemoryLine::silent);
    const auto model = survey_showing(a, data, passes, environment.terminal);
    if (!model) return stop_exit_code();
    const auto d = static_cast<double>(model::windows_before(config.train, step) * config.model.context);
    rungs.push_back(eval::rung_of(fmt::format("step {}", step), n, d, step, *model));
  }
  return tell_ladder(a, {a.model.path, {rungs}});
}

}  // namespace loglog::cli
