// Training compute-optimal language models (Hoffmann et al. 2022): parameters and tokens grow alike with compute.
//
// One set of runs, three approaches; what is scale-free is judged (exponents, their agreement, an extrapolation, orderings), what is not, tokens per
// parameter first of all, is shown.
#include <fmt/format.h>

#include <cmath>

#include "data/token_file.hpp"
#include "studies/chinchilla_measures.hpp"
#include "studies/format.hpp"
#include "studies/model_arms.hpp"
#include "studies/samples.hpp"
#include "studies/studies.hpp"

namespace loglog::studies {
namespace {

std::vector<Claim> claims_of(const Manifest& m) {
  return {
      {"C1", "approach 3 on the source's own runs gives the numbers of its replication",
       fmt::format(
           "points read off its figure 4, five highest losses left out: E, alpha, beta within {:g} standard "
           "errors of Besiroglu et al., our standard errors {} to {} of theirs",
           m("replay_errors_most"), m("replay_error_ratio_least"), m("replay_error_ratio_most")),
       "E 1.817 (0.026), alpha 0.348 (0.015), beta 0.366 (0.021); Hoffmann et al.: 1.69, 0.34, 0.28"},
      {"C2", "parameters and tokens grow alike: N_opt ~ C^a, a about a half",
       fmt::format("by approaches 1, 2 and 3, all matrices and FLOPs counted: a {} to {}, and not {}; "
                   "falsified above {}",
                   m("exponent_low"), m("exponent_high"), m("exponent_rival"), m("exponent_high")),
       "0.50, 0.49 and 0.46; Kaplan et al. 0.73"},
      {"C3", "three approaches to the same runs agree",
       fmt::format("each pair of exponents within {}, falsified beyond {}", m("approach_gap_most"),
                   m("approach_gap_falsified")),
       "0.50, 0.49 and 0.46; of the replication 0.51 in place of the third"},
      {"C4", "the law foretells what more compute gives",
       fmt::format("fitted below the dearest row: its least loss within {}, its N_opt within a factor of {}; "
                   "falsified "
                   "beyond {} and {}",
                   percent(m("minimum_error_most")), m("size_factor_most"),
                   percent(m("minimum_error_falsified")), m("size_factor_falsified")),
       "fitted up to 3e21 FLOPs, built at 5.76e23"},
      {"C5", "of equal compute, the smaller model on more tokens wins",
       fmt::format("about (N, D) against (4N, D/4), the larger above {:g} N_opt: loss lower by at least {}",
                   m("duel_ratio_least"), percent(m("duel_gain_notable"))),
       "70B on 1.4T tokens beats 280B on 300B: MMLU 67.5 against 60.0"},
      {"C6", "a schedule laid out for more than 1.25 times the run hurts",
       fmt::format(
           "one size, equal tokens, in standard deviations of the seeds: 1.25 times costs at least {:g}, 1.1 "
           "times at most {:g}",
           m("schedule_cost_least"), m("schedule_free_most")),
       "cosine cycles beyond 1.25 times the steps are clearly worse"},
  };
}

std::vector<Allowed> allowed_of(const Manifest& m) {
  using enum Allowed::Kind;
  constexpr double kInf = Measure::kInfinity;
  return {
      {"replay_errors_most", 0, kInf},
      {"replay_error_ratio_least", 0, 1},
      {"replay_error_ratio_most", 1, kInf},
      {"exponent_low", 0, 1},
      {"exponent_high", m("exponent_low"), 1},
      {"exponent_rival", m("exponent_high"), 1},
      {"approach_gap_most", 0, 1},
      {"approach_gap_falsified", m("approach_gap_most"), 1},
      {"minimum_error_most", 0, 1},
      {"minimum_error_falsified", m("minimum_error_most"), kInf},
      {"size_factor_most", 1, kInf},
      {"size_factor_falsified", m("size_factor_most"), kInf},
      {"duel_ratio_least", 1, kInf},
      {"duel_gain_notable", 0, 1},
      {"schedule_cost_least", 0, kInf},
      {"schedule_cost_notable", 0, m("schedule_cost_least")},
      {"schedule_free_most", 0, kInf},
      {"planted_draws", 20, 1e4, whole},
      {"planted_noise", 1e-6, 0.1},
      {"planted_share_least", 0, 1},
      {"resamples", 100, 1e5, whole},
      {"replay_resamples", 100, 1e5, whole},
  };
}

struct Findings {
  std::optional<Replay> replay;
  RowFits rows;
  Foretold foretold;
  Duel duel;
  ScheduleCosts schedules;
};

Table replay_table(const Replay& replay) {
  Table t{"The source's own runs",
          {"number", "ours", "standard error", "replication", "its standard error"},
          {},
          fmt::format("{} points.", replay.points)};
  for (const Replay::Number& n : replay.numbers)
    t.rows.push_back({n.name, number(n.value, 4), number(n.se), number(n.published, 4), number(n.their_se)});
  return t;
}

Table approach_table(const Findings& found) {
  Table t{"Approaches", {"approach", "a of N_opt ~ C^a", "why none"}, {}, ""};
  for (std::size_t k = 0; k < found.rows.approaches.approaches.size(); ++k) {
    const fit::Approach& a = found.rows.approaches.approaches[k];
    Measure m;
    if (a.refusal.empty()) set_samples(m, a.a, found.rows.approaches.samples[k], found.rows.approaches.t);
    t.rows.push_back({a.name, a.refusal.empty() ? with_interval(m) : "-", a.refusal});
  }
  if (!found.rows.approaches.noise.empty())
    t.note = fmt::format("95% intervals; losses made anew with noise of {}, the same for all approaches.",
                         found.rows.approaches.noise);
  if (found.rows.law)
    for (const fit::Interval& p : found.rows.law->params)
      t.note += fmt::format(" {} {} [{}, {}]{}", p.name, number(p.value), number(p.low), number(p.high),
                            p.name == found.rows.law->params.back().name ? "." : ",");
  return t;
}

Table duel_table(const Duel& d) {
  Table t{"The duel", {"model", "N", "D", "D/N"}, {}, ""};
  t.rows = {{"smaller", number(d.small_N), number(d.small_D), number(d.small_D / d.small_N)},
            {"larger", number(d.large_N), number(d.large_D), number(d.large_D / d.large_N)}};
  t.note = fmt::format("{} pairs of seeds; N_opt at this compute by approach 2: {}.", d.gains.size(),
                       number(d.N_opt));
  return t;
}

Table schedule_table(const ScheduleCosts& s) {
  Table t{"Schedules longer than the run", {"length", "loss", "cost, nats", "in sd of the seeds"}, {}, ""};
  for (const ScheduleCosts::Cost& c : s.costs)
    t.rows.push_back(
        {number(c.length), number(c.mean_loss, 5), number(c.cost), with_interval(s.of(c.length, ""))});
  t.note = fmt::format("{} seeds; one run's standard deviation {}.", s.seeds, number(s.seed_sd));
  return t;
}

report::Figure schedule_figure(const ScheduleCosts& s) {
  report::Figure f{"schedules",
                   "What a schedule longer than the run costs",
                   "",
                   {"length of the schedule over the run's", true},
                   {"cost, sd of the seeds"}};
  f.caption = "Means over the seeds, and their 95% band.";
  f.legend = false;
  report::Series line{"", report::Mark::line}, points{""}, band{"", report::Mark::band};
  for (const ScheduleCosts::Cost& c : s.costs) {
    const Measure m = s.of(c.length, "");
    for (report::Series* series : {&line, &points})
      series->x.push_back(c.length), series->y.push_back(m.value);
    band.x.push_back(c.length), band.y.push_back(m.quantile(0.025)), band.y2.push_back(m.quantile(0.975));
  }
  f.series = {band, line, points};
  return f;
}

void add_page(const Findings& found, Result& result) {
  if (found.replay) result.tables.push_back(replay_table(*found.replay));
  result.tables.push_back(approach_table(found));
  if (found.rows.isoflop) {
    result.tables.push_back(budget_table("Rows of equal compute", *found.rows.isoflop));
    result.tables.back().note =
        "Tokens per parameter belong to this text and vocabulary; the paper's do not apply.";
    result.figures.push_back(
        isoflop_figure("isoflop", "Loss over size at equal compute", found.rows.runs, *found.rows.isoflop));
  }
  result.tables.push_back(duel_table(found.duel));
  result.tables.push_back(schedule_table(found.schedules));
  if (!found.schedules.costs.empty()) result.figures.push_back(schedule_figure(found.schedules));
}

std::optional<Result> run(const Manifest& manifest, const Workplace& w) {
  const std::string effort(kEfforts[static_cast<int>(w.effort)]);
  const std::string rows_name = "chinchilla-rows-" + effort;
  const auto rows = trained_runs(w, rows_name);
  const auto truncated = rows ? trained_runs(w, rows_name, "truncated") : std::nullopt;
  const auto duel = truncated ? trained_runs(w, "chinchilla-duel-" + effort) : std::nullopt;
  const auto schedules = duel ? trained_runs(w, "chinchilla-schedule-" + effort) : std::nullopt;
  if (!schedules || w.stop()) return std::nullopt;
  w.say("fits");
  Findings found;
  if (!w.replay.empty())
    found.replay = replay_of(w.replay, static_cast<int>(manifest("replay_resamples")), w);
  found.rows = fit_rows(*rows, manifest, w);
  found.foretold = foretell(found.rows, manifest, w);
  found.duel = duel_of(*duel, found.rows);
  found.schedules = schedule_costs(*schedules);
  const std::vector<Claim> claims = claims_of(manifest);
  Result result;
  result.findings = {
      replayed(claims[0], found.replay, manifest),     exponents(claims[1], found.rows, manifest),
      agreement(claims[2], found.rows, manifest),      extrapolated(claims[3], found.foretold, manifest),
      won_by_smaller(claims[4], found.duel, manifest), horizon_hurts(claims[5], found.schedules, manifest)};
  result.controls = {planted_law(manifest, w)};
  if (const auto control = truncated_runs(*rows, *truncated, w)) result.controls.push_back(*control);
  result.facts = facts_of(data::TokenFile::open(w.data));
  for (const auto& [name, runs] : {std::pair{"rows", &*rows},
                                   {"rows without a cooldown", &*truncated},
                                   {"duel", &*duel},
                                   {"schedules", &*schedules}})
    result.facts.push_back(runs_fact(name, *runs));
  add_page(found, result);
  return w.stop() ? std::nullopt : std::optional(std::move(result));
}

}  // namespace

Study chinchilla_study() {
  return {"chinchilla",
          "Compute-optimal training: parameters and tokens grow alike",
          "ninety models of up to 0.5M parameters, 1.3e14 FLOPs: an estimated quarter of an hour",
          "about a hundred models of up to 4.8M parameters, 4e15 FLOPs: an estimated six hours",
          claims_of,
          allowed_of,
          run};
}

}  // namespace loglog::studies
