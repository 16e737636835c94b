#include "fit/selftest/speed.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <optional>

#include "fit/allocation/design.hpp"
#include "fit/bootstrap.hpp"
#include "fit/choice/choose.hpp"
#include "fit/selftest/designs.hpp"
#include "fit/surface.hpp"

namespace loglog::fit {
namespace {

using Judgements = std::vector<Judgement>;

double cpu_seconds(const std::function<void()>& work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

Judgement within_seconds(const std::string& what, double seconds, double most) {
  return {what, fmt::format("<= {:g} s", most), fmt::format("{:.3f} s", seconds), seconds <= most};
}
Judgement at_least_percent(const std::string& what, double percent, double least) {
  return {what, fmt::format(">= {:g}%", least), fmt::format("{:.2f}%", percent), percent >= least};
}

// 40 places again and again, runs of the truth.
Runs simulated(std::size_t count) {
  std::vector<Place> places;
  while (places.size() < count) {
    const std::vector<Place> more = lab40();
    places.insert(places.end(), more.begin(), more.end());
  }
  places.resize(count);
  const auto law = [](Place p) { return CoverageTruth().loss(p.N, p.D); };
  return runs_of(places, losses_of(places, law, normal_noise(0.003), 1, 1));
}

// 240 runs: those digitised from Chinchilla's figure without the five highest losses, or as many simulated ones.
Runs two_hundred_and_forty(const Path& data) {
  if (data.empty()) return simulated(240);
  Table table = Table::read_csv(data / "chinchilla_svg245/svg_extracted_data.csv");
  table.rename("Model Size", "N");
  table.rename("Training FLOP", "C");
  table.derive("D=C/(6*N)");
  return select_runs(table, {{"N", "D"}, 5});
}

const Law& chinchilla() {
  return *find_law("chinchilla");
}
constexpr double kPublishedDelta = 1e-3;

Judgements hoffmann_grid(const Path& data) {
  const Runs runs = two_hundred_and_forty(data);
  const Points points(chinchilla(), runs.columns, runs.loss);
  Solution all;
  const double seconds = cpu_seconds(
      [&] { all = solve_from_afar(points, runs.weight, {kPublishedDelta}, hoffmann_starts(points)); });
  const Solution ours = solve(points, runs.weight, {kPublishedDelta});
  const Certificate& c = all.certificate;
  const double explained = 100.0 * (c.agreeing + c.other_minima) / c.starts;
  return {within_seconds("4500 starts, each to the end", seconds, 2.0),
          at_least_percent("within 1e-6 of the best, or in another minimum", explained, 95),
          {"in another minimum", "", fmt::format("{:.2f}%", 100.0 * c.other_minima / c.starts), true},
          {"their best over ours, less 1", "<= 1e-6", fmt::format("{:.1e}", all.value / ours.value - 1),
           all.value <= ours.value * (1 + 1e-6)}};
}

Judgements default_fit(const Path& data) {
  const Runs runs = two_hundred_and_forty(data);
  double seconds = INFINITY;
  bool converged = true;
  for (int repeat = 0; repeat < 5; ++repeat)
    seconds = std::min(seconds, cpu_seconds([&] {
                         converged =
                             fit_surface(chinchilla(), runs, {kPublishedDelta, {IntervalKind::automatic, 0}})
                                 .certificate.converged;
                       }));
  return {within_seconds("grid, 8 descents, certificate", seconds, 0.02),
          {"converged", "yes", converged ? "yes" : "no", converged}};
}

// Each resample again from the 64 best places of the grid.
Judgements bootstraps(const Path& data) {
  constexpr int kResamples = 4000, kChecked = 1000, kStarts = 64;
  const Runs runs = two_hundred_and_forty(data);
  const Points points(chinchilla(), runs.columns, runs.loss);
  const Huber huber{kPublishedDelta};
  const double seconds = cpu_seconds([&] {
    fit_surface(chinchilla(), runs, {kPublishedDelta, {IntervalKind::bootstrap, kResamples}});
  });
  const Vector best = solve(points, runs.weight, huber).theta;
  const Bounds bounds = chinchilla().form->bounds(points);
  int same = 0;
  for (int i = 0; i < kChecked; ++i) {
    const auto weights = resample_counts(runs.cluster, runs.clusters, 1, static_cast<std::uint64_t>(i));
    const Descent ours = descend(points, weights, huber, bounds, best);
    const Solution reference =
        solve_from(points, weights, huber, best_starts(points, weights, huber, kStarts));
    same += ours.value <= reference.value * (1 + 1e-6) ? 1 : 0;
  }
  return {within_seconds("fit and 4000 resamples, intervals", seconds, 1.0),
          at_least_percent(fmt::format("of {}: within 1e-6 of the best of {} starts", kChecked, kStarts),
                           100.0 * same / kChecked, 99.9)};
}

constexpr double kOver = 10;  // the package's weight of a prediction that is too high
FitResult kyo_fit(const Path& file) {
  const Runs runs = select_runs(Table::read_csv(file), {{"N", "D"}});
  return fit_surface(chinchilla(), runs,
                     {std::nullopt,
                      {IntervalKind::automatic, 0},
                      {},
                      {ObjectiveChoice::Kind::quantile, 1 / (kOver + 1), true}});
}
// The mean of over-predictions times ten and under-predictions.
double kyo_objective(const FitResult& r) {
  return r.objective * (kOver + 1) / r.n;
}
const char* const kKyoFile = "chinchilla_kyo234/df.csv";
constexpr double kKyoBest = .02278187;

Judgements kyo_example(const Path& data) {
  if (data.empty()) return {{"needs --data", "", "not run", true}};
  FitResult r;
  const double seconds = cpu_seconds([&] { r = kyo_fit(data / kKyoFile); });
  return {within_seconds("the 1/11 quantile of raw loss, 234 runs", seconds, 2.0),
          {"its objective", fmt::format("<= {}", kKyoBest), fmt::format("{:.9f}", kyo_objective(r)),
           kyo_objective(r) <= kKyoBest}};
}

std::vector<std::vector<double>> five_places() {
  std::vector<std::vector<double>> places;
  for (int i = 0; i < 5; ++i) places.push_back({1e9 * std::pow(3.0, i), 2e10 * std::pow(3.0, i)});
  return places;
}

Judgements profiles(const Path& data) {
  const Runs runs = two_hundred_and_forty(data);
  FitResult r;
  double seconds = INFINITY;
  for (int repeat = 0; repeat < 3; ++repeat)
    seconds = std::min(
        seconds, cpu_seconds([&] {
          r = fit_surface(chinchilla(), runs, {kPublishedDelta, {IntervalKind::profile, 1}, five_places()});
        }));
  std::vector<Interval> all = r.params;
  all.insert(all.end(), r.optimum.begin(), r.optimum.end());
  for (const Prediction& p : r.predictions) all.push_back(p.loss);
  const auto closed = std::ranges::count_if(
      all, [](const Interval& i) { return std::isfinite(i.low) && std::isfinite(i.high); });
  return {within_seconds(fmt::format("fit and {} intervals", all.size()), seconds, 0.1),
          {"intervals with both ends", fmt::format("{}", all.size()), fmt::format("{}", closed),
           closed == static_cast<std::ptrdiff_t>(all.size())}};
}

// What a report of a sweep asks of the fitter. CPU time of one thread; the two cores that are granted would share it.
Judgements full_report(const Path&) {
  constexpr double kOnTwoCores = 5, kCores = 2;
  const Runs runs = simulated(300);
  Table table("simulated");
  for (std::size_t v = 0; v < runs.columns.size(); ++v) table.add(runs.variables[v], runs.columns[v]);
  table.add("loss", runs.loss);
  const std::shared_ptr<const Law> law = law_named("chinchilla");
  const double fits = cpu_seconds([&] {
    fit_surface(*law, runs, {std::nullopt, {IntervalKind::bootstrap, 4000}, five_places()});
    fit_surface(*law, runs, {std::nullopt, {IntervalKind::profile, 1}, five_places()});
  });
  const double forms = cpu_seconds([&] {  // each scale left out once, by each of the laws
    ChooseOptions options;
    options.plan = holdout_named("scale:N");
    choose(table, {law.get(), find_law("chinchilla-tied"), find_law("kaplan")}, options);
  });
  const double design = cpu_seconds([&] {
    ProcedureOptions options;
    options.bootstrap = 0;
    design_runs(fit_law(law, table, options), {.target = {kTargetN, kTargetD}});
  });
  const auto part = [](const char* what, double seconds) {
    return Judgement{what, "", fmt::format("{:.3f} s", seconds), true};
  };
  return {part("fit, 4000 resamples, profiles", fits),
          part("three forms by scales left out, 400 resamples", forms), part("which run next", design),
          within_seconds("all of it", fits + forms + design, kOnTwoCores * kCores)};
}

}  // namespace

const std::vector<SpeedRow>& speed_rows() {
  static const std::vector<SpeedRow> rows = {
      {"Hoffmann's 4500 starts, Huber 1e-3, 240 runs", hoffmann_grid},
      {"a fit, 240 runs", default_fit},
      {"4000 bootstraps, 240 runs", bootstraps},
      {"the example of the package chinchilla", kyo_example},
      {"profile intervals of all parameters and 5 predictions, 240 runs", profiles},
      {"the fits of a report, 300 runs", full_report},
  };
  return rows;
}

std::vector<AccuracyCheck> objective_checks() {
  return {{"P7b", "the 234 runs by the objective of the package chinchilla", kKyoFile, [](const Path& file) {
             const double value = kyo_objective(kyo_fit(file));
             return std::vector<Requirement>{{"mean, too high counts tenfold",
                                              fmt::format("at most {}", kKyoBest), value, value <= kKyoBest}};
           }}};
}

}  // namespace loglog::fit
