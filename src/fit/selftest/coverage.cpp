#include "fit/selftest/coverage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/stats.hpp"
#include "fit/choice/influence.hpp"
#include "fit/envelope.hpp"
#include "fit/isoflop.hpp"
#include "fit/parallel.hpp"
#include "fit/selftest/designs.hpp"
#include "fit/surface.hpp"

namespace loglog::fit {
namespace {

using Judgements = std::vector<Judgement>;
using Places = std::vector<Place> (*)();
constexpr std::pair<const char*, Places> kDesigns[] = {{"small24", small24}, {"lab40", lab40}};
constexpr int kResamples = 200;
constexpr double kLowNoise = 0.003, kHighNoise = 0.01;

double true_loss(Place place) {
  return CoverageTruth().loss(place.N, place.D);
}

// What a sweep is, by its number.
using MakeRuns = std::function<Runs(std::uint64_t seed, std::uint64_t sweep)>;
MakeRuns sweeps_of(Places places, const LogNoise& noise) {
  return [places, noise](std::uint64_t seed, std::uint64_t sweep) {
    return runs_of(places(), losses_of(places(), true_loss, noise, seed, sweep));
  };
}

// Resampling is drawn anew for each sweep, or its own scatter would be in all of them alike.
FitResult fit_target(const Runs& runs, IntervalKind kind, std::uint64_t sweep) {
  return fit_surface(*find_law("chinchilla"), runs,
                     {std::nullopt, {kind, kResamples, sweep, 1}, {{kTargetN, kTargetD}}});
}

Trial trial_of(const Interval& item, double truth) {
  return {item.value, item.low, item.high, truth};
}
const Interval& named(const FitResult& r, const std::string& name) {
  for (const auto* list : {&r.params, &r.optimum})
    for (const Interval& item : *list)
      if (item.name == name) return item;
  static const Interval none{"", NAN, NAN, NAN};
  return none;
}

// E, alpha, beta, the loss at the target, and that of a run there with noise of its own.
Judgements judge_target(const CoverageOptions& o, const MakeRuns& make_runs, IntervalKind kind,
                        const LogNoise& noise, Band band) {
  constexpr std::uint64_t kNewRow = 1'000'000;  // a draw that no row of a sweep has
  const CoverageTruth truth;
  const std::map<std::string, double> params = {{"E", truth.E}, {"alpha", truth.alpha}, {"beta", truth.beta}};
  std::map<std::string, std::vector<Trial>> trials;
  for (const char* name : {"E", "alpha", "beta", "loss", "new run"})
    trials[name].resize(static_cast<std::size_t>(o.sweeps));
  for_each_index(o.threads, o.sweeps, [&](int i) {
    const auto sweep = static_cast<std::uint64_t>(i);
    const FitResult r = fit_target(make_runs(o.seed, sweep), kind, sweep);
    for (const auto& [name, value] : params) trials.at(name)[sweep] = trial_of(named(r, name), value);
    const double loss = truth.loss(kTargetN, kTargetD);
    trials.at("loss")[sweep] = trial_of(r.predictions[0].loss, loss);
    trials.at("new run")[sweep] =
        trial_of(r.predictions[0].new_run, loss * std::exp(noise(o.seed, sweep, kNewRow)));
  });
  Judgements list;
  for (const char* name : {"E", "alpha", "beta", "loss", "new run"})
    list.push_back(judge(name, trials.at(name), band));
  return list;
}

// For each sweep whether something is so.
std::vector<char> asked(const CoverageOptions& o, const std::function<bool(std::uint64_t sweep)>& question) {
  std::vector<char> answers(static_cast<std::size_t>(o.sweeps));
  for_each_index(o.threads, o.sweeps, [&](int i) {
    answers[static_cast<std::size_t>(i)] = question(static_cast<std::uint64_t>(i)) ? 1 : 0;
  });
  return answers;
}

bool warns(const FitResult& r, std::string_view of) {
  return std::ranges::any_of(r.warnings,
                             [of](const std::string& w) { return w.find(of) != std::string::npos; });
}

FitResult fit_alone(const char* law, const Runs& runs) {
  return fit_surface(*find_law(law), runs, {std::nullopt, {IntervalKind::automatic, 0}});
}

// Rows taken for runs: without the column, and with it for a method that has no use for it.
Judgements naive_checkpoints(const CoverageOptions& o) {
  const auto unnamed = asked(o, [&](std::uint64_t sweep) {
    Runs runs = checkpoints_of_runs(o.seed, sweep);
    runs.clusters = runs.size();
    for (int i = 0; i < runs.size(); ++i) runs.cluster[static_cast<std::size_t>(i)] = i;
    return warns(fit_alone("chinchilla", runs), "not independent");
  });
  const auto profiled = asked(o, [&](std::uint64_t sweep) {
    return warns(fit_surface(*find_law("chinchilla"), checkpoints_of_runs(o.seed, sweep),
                             {std::nullopt, {IntervalKind::profile, 1}}),
                 "not independent");
  });
  const auto independent = asked(o, [&](std::uint64_t sweep) {
    return warns(fit_alone("chinchilla", sweeps_of(lab40, normal_noise(kLowNoise))(o.seed, sweep)),
                 "not independent");
  });
  return {judge_share("warned without a column 'run'", unnamed, 99.9, 100),
          judge_share("warned when profiled", profiled, 99.9, 100),
          judge_share("warned of independent runs", independent, 0, 2)};
}

Judgements diverged_runs(const CoverageOptions& o, Places places) {
  const LogNoise noise = normal_noise(kLowNoise);
  const MakeRuns sweeps = [&](std::uint64_t seed, std::uint64_t sweep) {
    std::vector<int> diverged;
    return with_diverged(sweeps_of(places, noise)(seed, sweep), seed, sweep, diverged);
  };
  Judgements list = judge_target(o, sweeps, IntervalKind::bootstrap, noise, kContaminated);
  const auto listed = asked(o, [&](std::uint64_t sweep) {
    std::vector<int> diverged;
    const FitResult r = fit_alone(
        "chinchilla", with_diverged(sweeps_of(places, noise)(o.seed, sweep), o.seed, sweep, diverged));
    const std::vector<int> far = far_rows(r, find_law(r.law)->parameter_count());
    return std::ranges::all_of(diverged, [&](int row) { return std::ranges::find(far, row) != far.end(); });
  });
  list.push_back(judge_share("all of them listed as outliers", listed, 90, 100));
  return list;
}

// Tokens in proportion to parameters: nothing tells alpha from beta, the loss by compute is what can be had.
Judgements degenerate_ratio(const CoverageOptions& o) {
  const MakeRuns sweeps = sweeps_of(constant_ratio, normal_noise(kLowNoise));
  const auto said = asked(o, [&](std::uint64_t sweep) {
    const FitResult r = fit_alone("chinchilla", sweeps(o.seed, sweep));
    return !r.identified && r.optimum.empty() && warns(r, "not identified");
  });
  std::vector<Trial> at_ten_times(static_cast<std::size_t>(o.sweeps));
  for_each_index(o.threads, o.sweeps, [&](int i) {
    Runs runs = sweeps(o.seed, static_cast<std::uint64_t>(i));
    for (std::size_t k = 0; k < runs.loss.size(); ++k) runs.columns[0][k] *= 6 * runs.columns[1][k];
    runs.columns.pop_back(), runs.variables = {"C"};
    const double N = 1e7, D = 20 * N;
    const FitResult r = fit_surface(*find_law("power-C-floor"), runs,
                                    {std::nullopt, {IntervalKind::profile, 1}, {{6 * N * D}}});
    at_ten_times[static_cast<std::size_t>(i)] = trial_of(r.predictions[0].loss, true_loss({N, D}));
  });
  return {judge_share("not identified, exponents withheld", said, 100, 100),
          judge("L(C), at ten times the compute", at_ten_times, kExact)};
}

// The exponent of N falls from .35 to .15 at a size in the middle of the sweep, as sharply as a smoothly broken law does.
double broken_loss(Place place) {
  constexpr double kBreak = 2e5, kLater = 0.15, kSharpness = 0.2;
  const CoverageTruth truth;
  const double bend =
      std::pow(1 + std::pow(place.N / kBreak, 1 / kSharpness), kSharpness * (truth.alpha - kLater));
  return truth.E + truth.A * std::pow(place.N, -truth.alpha) * bend +
         truth.B * std::pow(place.D, -truth.beta);
}

Judgements wrong_form(const CoverageOptions& o, Places places) {
  const LogNoise noise = normal_noise(kLowNoise);
  const auto flagged = [&](double (*law)(Place)) {
    return asked(o, [&, law](std::uint64_t sweep) {
      const Runs runs = runs_of(places(), losses_of(places(), law, noise, o.seed, sweep));
      return warns(fit_alone("chinchilla", runs), "lack of fit");
    });
  };
  return {judge_share("a break at N = 2e5 is flagged", flagged(broken_loss), 80, 100),
          judge_share("false alarms", flagged(true_loss), 0, 7)};
}

// The exponent a of N_opt ~ C^a by each approach, of the same sweeps.
Judgements three_approaches(const CoverageOptions& o) {
  const char* const names[] = {"approach 1, envelope", "approach 2, parabolas", "approach 3, the law"};
  std::vector<Trial> trials[3];
  for (auto& list : trials)
    list.resize(static_cast<std::size_t>(o.sweeps), {NAN, NAN, NAN, CoverageTruth().a()});
  for_each_index(o.threads, o.sweeps, [&](int i) {
    const auto sweep = static_cast<std::uint64_t>(i);
    const std::vector<Place> places = nine_budgets(o.seed, sweep);
    const auto loss = losses_of(places, true_loss, normal_noise(kLowNoise), o.seed, sweep);
    const Runs runs = runs_of(places, loss, true);
    const std::function<FitResult()> fits[] = {
        [&] { return fit_envelope(runs, {}); },
        [&] {
          return fit_isoflop(runs, {Interpolation::parabola, 1, "", kResamples, sweep, 1});
        },
        [&] { return fit_target(runs_of(places, loss), IntervalKind::automatic, sweep); }};
    for (std::size_t k = 0; k < 3; ++k) {
      try {
        const Interval a = named(fits[k](), "a");
        trials[k][sweep] = trial_of(a, CoverageTruth().a());
      } catch (const std::exception&) {  // a refusal: no interval, and none that holds the truth
      }
    }
  });
  Judgements list;
  for (std::size_t k = 0; k < 3; ++k) list.push_back(judge(names[k], trials[k], kExact));
  return list;
}

void add_gaussian_rows(std::vector<CoverageRow>& rows) {
  const struct {
    IntervalKind kind;
    const char* title;
    Band band;
  } methods[] = {{IntervalKind::wald, "Wald", kExact},
                 {IntervalKind::profile, "profile", kExact},
                 {IntervalKind::bootstrap, "pair bootstrap", kResampled},
                 {IntervalKind::noise, "noise made anew", kResampled}};
  for (const auto& method : methods)
    for (const auto& [name, places] : kDesigns)
      for (const double sd : {kLowNoise, kHighNoise}) {
        const auto kind = method.kind;
        const auto band = method.band;
        const auto sweeps = sweeps_of(places, normal_noise(sd));
        rows.push_back({fmt::format("{}, normal noise of {:.1f}%, {}", method.title, 100 * sd, name),
                        [=](const CoverageOptions& o) {
                          return judge_target(o, sweeps, kind, normal_noise(sd), band);
                        }});
      }
}

std::vector<CoverageRow> make_rows() {
  std::vector<CoverageRow> rows;
  add_gaussian_rows(rows);
  rows.push_back({"checkpoints taken for runs, 24 runs x 5", naive_checkpoints});
  rows.push_back({"checkpoints with their run named: each run left out", [](const CoverageOptions& o) {
                    return judge_target(o, checkpoints_of_runs, IntervalKind::automatic,
                                        normal_noise(std::hypot(0.006, 0.002)), kFewRuns);
                  }});
  for (const auto& [name, places] : kDesigns) {
    const Places where = places;
    rows.push_back({fmt::format("Student's t of 3, sd 0.3%, Huber and bootstrap, {}", name),
                    [where](const CoverageOptions& o) {
                      const LogNoise noise = student_noise(kLowNoise);
                      return judge_target(o, sweeps_of(where, noise), IntervalKind::bootstrap, noise,
                                          kResampled);
                    }});
    rows.push_back({fmt::format("5% of the runs diverged, Huber and bootstrap, {}", name),
                    [where](const CoverageOptions& o) { return diverged_runs(o, where); }});
  }
  rows.push_back({"constant tokens per parameter", degenerate_ratio});
  rows.push_back({"truth with a break, noise of 0.3%, lab40",
                  [](const CoverageOptions& o) { return wrong_form(o, lab40); }});
  rows.push_back({"exponent a, 9 budgets of 5 sizes, noise of 0.3%", three_approaches});
  for (CoverageRow& row : law_coverage_rows()) rows.push_back(std::move(row));
  return rows;
}

}  // namespace

const std::vector<CoverageRow>& coverage_rows() {
  static const std::vector<CoverageRow> rows = make_rows();
  return rows;
}

}  // namespace loglog::fit
