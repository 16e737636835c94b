#include "studies/chinchilla_measures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "fit/bootstrap.hpp"
#include "fit/choice/folds.hpp"
#include "fit/isoflop.hpp"
#include "fit/parallel.hpp"
#include "fit/surface.hpp"
#include "studies/format.hpp"
#include "studies/samples.hpp"

namespace loglog::studies {
namespace {

const fit::Law& chinchilla_law() {
  return *fit::find_law("chinchilla");
}

double parameter(const fit::Law& law, const std::string& name, const fit::Vector& theta) {
  return std::ranges::find(law.params, name, &fit::Quantity::name)->value(theta);
}

const fit::Budget* dearest(const fit::FitResult& isoflop) {
  return &*std::ranges::max_element(isoflop.budgets, {}, &fit::Budget::C);
}

// A distance in samples: of either sign as bad.
void take_magnitude(Measure& m) {
  m.value = std::fabs(m.value);
  for (double& x : m.samples) x = std::fabs(x);
}

}  // namespace

Replay replay_of(const Path& file, int resamples, const Workplace& w) {
  fit::Table table = fit::Table::read_csv(file);
  if (table.has("Model Size")) table.rename("Model Size", "N");
  if (table.has("Training FLOP")) table.rename("Training FLOP", "C");
  if (!table.has("D")) table.derive("D=C/(6*N)");
  const fit::Law& law = chinchilla_law();
  const fit::Runs runs = fit::columns_of(fit::select_runs(table, {law.variables, 5}), law);
  const fit::FitResult fit = fit::fit_surface(law, runs, {1e-3, {fit::IntervalKind::automatic, 0}});
  std::vector<fit::Vector> thetas(static_cast<std::size_t>(resamples));
  fit::for_each_index(w.threads, resamples, [&](int b) {
    thetas[static_cast<std::size_t>(b)] =
        refitted(law, runs, fit, runs.loss,
                 fit::resample_counts(runs.cluster, runs.clusters, w.seed, static_cast<std::uint64_t>(b)));
  });
  Replay replay{runs.size(), {}};
  // Their table 2: standard errors from 4,000 resamples.
  for (const auto& [name, published, their_se] :
       {std::tuple{"E", 1.8172, 0.0257}, {"alpha", 0.3478, 0.0154}, {"beta", 0.3658, 0.0206}}) {
    std::vector<double> drawn;
    for (const fit::Vector& theta : thetas)
      if (const double x = parameter(law, name, theta); std::isfinite(x)) drawn.push_back(x);
    replay.numbers.push_back(
        {name, parameter(law, name, fit.theta), std::sqrt(variance(drawn)), published, their_se});
  }
  return replay;
}

Finding replayed(Claim claim, const std::optional<Replay>& replay, const Manifest& m) {
  Finding f{std::move(claim)};
  if (!replay) {
    f.untestable = "the points of the source were not given: --replay FILE";
    return f;
  }
  for (const Replay::Number& n : replay->numbers) {
    Measure off, ratio;
    off.name = fmt::format("{}: distance from the replication, in its standard errors", n.name);
    off.value = std::fabs(n.value - n.published) / n.their_se, off.high = m("replay_errors_most");
    ratio.name = fmt::format("{}: our standard error over its", n.name);
    ratio.value = n.se / n.their_se;
    ratio.low = m("replay_error_ratio_least"), ratio.high = m("replay_error_ratio_most");
    f.measures.push_back(std::move(off)), f.measures.push_back(std::move(ratio));
  }
  return f;
}

RowFits fit_rows(const fit::Table& table, const Manifest& m, const Workplace& w) {
  const fit::Law& law = chinchilla_law();
  RowFits rows;
  try {
    rows.runs = fit::select_runs(table, {{"N", "D", "C"}});
    rows.law =
        fit::fit_surface(law, fit::columns_of(rows.runs, law), {std::nullopt, {fit::IntervalKind::wald}});
    fit::DisagreementOptions options;
    options.resamples = static_cast<int>(m("resamples")), options.seed = w.seed, options.threads = w.threads;
    rows.approaches = fit::resample_approaches(law, rows.runs, options);
  } catch (const InputError& error) {
    rows.refusal = error.what();
  }
  try {
    fit::IsoflopOptions options;
    options.seed = w.seed, options.threads = w.threads;
    rows.isoflop = fit::fit_isoflop(rows.runs, options);
  } catch (const InputError&) {  // said with the approaches
  }
  return rows;
}

Finding exponents(Claim claim, const RowFits& rows, const Manifest& m) {
  Finding f{std::move(claim)};
  f.untestable = rows.refusal;
  for (std::size_t k = 0; k < rows.approaches.approaches.size(); ++k) {
    const fit::Approach& approach = rows.approaches.approaches[k];
    Measure a;
    a.name = fmt::format("a by {}{}", approach.name,
                         approach.refusal.empty() ? "" : fmt::format(" (none: {})", approach.refusal));
    a.low = m("exponent_low"), a.high = m("exponent_high");
    a.null = m("exponent_rival"), a.falsified = m("exponent_high");
    if (approach.refusal.empty()) set_samples(a, approach.a, rows.approaches.samples[k], rows.approaches.t);
    f.measures.push_back(std::move(a));
  }
  return f;
}

Finding agreement(Claim claim, const RowFits& rows, const Manifest& m) {
  Finding f{std::move(claim)};
  f.untestable = rows.refusal;
  const auto& all = rows.approaches.approaches;
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = i + 1; j < all.size(); ++j) {
      Measure gap;
      gap.name = fmt::format("|a by {} less a by {}|", all[i].name, all[j].name);
      gap.high = m("approach_gap_most"), gap.falsified = m("approach_gap_falsified");
      if (all[i].refusal.empty() && all[j].refusal.empty()) {
        std::vector<double> drawn;
        for (std::size_t b = 0; b < rows.approaches.samples[i].size(); ++b)
          drawn.push_back(rows.approaches.samples[i][b] - rows.approaches.samples[j][b]);
        set_samples(gap, all[i].a - all[j].a, drawn, rows.approaches.t);
        take_magnitude(gap);
      }
      f.measures.push_back(std::move(gap));
    }
  return f;
}

namespace {

// Least loss of a law over the sizes of a row, whose tokens follow from its sizes: straight lines between their logarithms.
struct Least {
  double log_N = 0, loss = INFINITY;
};
Least least_of_row(const fit::Law& law, const fit::Vector& theta, const fit::Runs& row) {
  std::map<double, double> log_D;  // by ln N
  for (std::size_t i = 0; i < row.loss.size(); ++i)
    log_D[std::log(row.column("N")[i])] = std::log(row.column("D")[i]);
  Least least;
  for (auto left = log_D.begin(), right = std::next(left); right != log_D.end(); ++left, ++right)
    for (int i = 0; i <= 50; ++i) {
      const double t = i / 50.0, N = left->first + t * (right->first - left->first),
                   D = left->second + t * (right->second - left->second);
      const std::vector<double> x = {std::exp(N), std::exp(D)};
      if (const double loss = fit::predict(law, theta, x); loss < least.loss) least = {N, loss};
    }
  return least;
}

fit::Runs with_losses(fit::Runs runs, std::vector<double> losses) {
  runs.loss = std::move(losses);
  return runs;
}

// ln N_opt and the loss there of the dearest row alone.
std::optional<Least> seen_minimum(const fit::Runs& runs) {
  fit::IsoflopOptions options;
  options.bootstrap = 0;
  try {
    const fit::FitResult result = fit::fit_isoflop(runs, options);
    const fit::Budget* row = dearest(result);
    if (row->used) return Least{std::log(row->N_opt), row->loss};
  } catch (const InputError&) {  // no minimum
  }
  return std::nullopt;
}

struct SplitRows {
  std::vector<int> cheap, dear;
};
SplitRows split_at_dearest(const fit::Runs& runs) {
  const std::vector<double>& budget = runs.budget.empty() ? runs.column("C") : runs.budget;
  const double most = *std::ranges::max_element(budget);
  SplitRows split;
  for (int i = 0; i < runs.size(); ++i)
    (budget[static_cast<std::size_t>(i)] > 0.95 * most ? split.dear : split.cheap).push_back(i);
  return split;
}

}  // namespace

Foretold foretell(const RowFits& rows, const Manifest& m, const Workplace& w) {
  Foretold f;
  f.refusal = rows.refusal;
  if (!f.refusal.empty()) return f;
  const fit::Law& law = chinchilla_law();
  const SplitRows split = split_at_dearest(rows.runs);
  const fit::Runs cheap = fit::select_rows(rows.runs, split.cheap),
                  dear = fit::select_rows(rows.runs, split.dear);
  const auto seen = seen_minimum(rows.runs);
  if (!seen) {
    f.refusal = "the dearest row has no minimum inside, or fewer than three rows have one";
    return f;
  }
  fit::FitResult fit;
  try {
    fit =
        fit::fit_surface(law, fit::columns_of(cheap, law), {std::nullopt, {fit::IntervalKind::automatic, 0}});
  } catch (const InputError& error) {
    f.refusal = error.what();
    return f;
  }
  const Least foretold = least_of_row(law, fit.theta, dear);
  f.loss = foretold.loss, f.N = std::exp(foretold.log_N);
  f.seen_loss = seen->loss, f.seen_N = std::exp(seen->log_N);
  const int resamples = static_cast<int>(m("resamples"));
  f.loss_draws.assign(static_cast<std::size_t>(resamples), NAN), f.N_draws = f.loss_draws;
  fit::for_each_index(w.threads, resamples, [&](int b) {
    const std::vector<double> losses =
        losses_anew(rows.runs, *rows.law, w.seed, static_cast<std::uint64_t>(b));
    const fit::Runs anew = with_losses(rows.runs, losses);
    const fit::Runs cheap_anew = fit::select_rows(anew, split.cheap);
    const Least again =
        least_of_row(law, refitted(law, cheap_anew, fit, cheap_anew.loss, cheap_anew.weight), dear);
    const auto seen_again = seen_minimum(anew);
    if (!seen_again || !std::isfinite(again.loss)) return;
    f.loss_draws[static_cast<std::size_t>(b)] = std::log(again.loss / seen_again->loss);
    f.N_draws[static_cast<std::size_t>(b)] = again.log_N - seen_again->log_N;
  });
  return f;
}

Finding extrapolated(Claim claim, const Foretold& f, const Manifest& m) {
  Finding finding{std::move(claim)};
  finding.untestable = f.refusal;
  if (!f.refusal.empty()) return finding;
  Measure loss, size;
  loss.name = "|ln(least loss foretold / seen)|";
  loss.high = m("minimum_error_most"), loss.falsified = m("minimum_error_falsified");
  set_samples(loss, std::log(f.loss / f.seen_loss), f.loss_draws, normal_quantile(0.975));
  take_magnitude(loss);
  size.name = "|ln(N_opt foretold / seen)|";
  size.high = std::log(m("size_factor_most")), size.falsified = std::log(m("size_factor_falsified"));
  set_samples(size, std::log(f.N / f.seen_N), f.N_draws, normal_quantile(0.975));
  take_magnitude(size);
  finding.measures = {std::move(loss), std::move(size)};
  return finding;
}

Duel duel_of(const fit::Table& table, const RowFits& rows) {
  const fit::Runs runs = fit::select_runs(table, {{"N", "D", "C"}});
  const std::vector<double>&N = runs.column("N"), &D = runs.column("D");
  Duel duel;
  const auto smallest = static_cast<std::size_t>(std::ranges::min_element(N) - N.begin()),
             largest = static_cast<std::size_t>(std::ranges::max_element(N) - N.begin());
  duel.small_N = N[smallest], duel.small_D = D[smallest], duel.large_N = N[largest],
  duel.large_D = D[largest];
  std::map<double, std::map<double, double>> losses;  // [seed][N]
  for (std::size_t i = 0; i < N.size(); ++i) losses[runs.seed[i]][N[i]] = runs.loss[i];
  for (const auto& [seed, of] : losses)
    if (of.size() == 2) duel.gains.push_back(std::log(of.at(duel.large_N) / of.at(duel.small_N)));
  duel.N_opt = NAN;
  if (rows.isoflop) {
    const double a = rows.isoflop->optimum.front().value, k = rows.isoflop->params.front().value;
    duel.N_opt = k * std::pow(runs.column("C").front(), a);
  }
  return duel;
}

Finding won_by_smaller(Claim claim, const Duel& duel, const Manifest& m) {
  Finding f{std::move(claim)};
  if (std::isnan(duel.N_opt))
    f.untestable = "approach 2 gives no N_opt to say which size is too large";
  else if (!(duel.large_N > m("duel_ratio_least") * duel.N_opt))
    f.untestable = fmt::format("the larger model has {} parameters, not {:g} times the best size, {}",
                               number(duel.large_N), m("duel_ratio_least"), number(duel.N_opt));
  else if (duel.gains.size() < 2)
    f.untestable = "fewer than two pairs of runs have a loss";
  if (!f.untestable.empty()) return f;
  Measure gain = mean_of_pairs("ln(loss of the larger / loss of the smaller)", duel.gains);
  gain.null = 0, gain.low = m("duel_gain_notable"), gain.least = m("duel_gain_notable");
  f.measures = {std::move(gain)};
  return f;
}

ScheduleCosts schedule_costs(const fit::Table& table) {
  const fit::Runs runs = fit::select_runs(table, {{"N", "D", "C"}});
  const std::vector<double> horizon = table.numbers("train.horizon"), steps = table.numbers("train.steps");
  std::map<double, std::map<double, double>> by_seed;  // [seed][length]
  std::set<double> lengths;
  for (std::size_t i = 0; i < runs.loss.size(); ++i) {
    const auto row = static_cast<std::size_t>(runs.row[i]);
    const double length = std::round(100 * horizon[row] / steps[row]) / 100;
    lengths.insert(length), by_seed[runs.seed[i]][length] = runs.loss[i];
  }
  std::erase_if(by_seed, [&](const auto& seed) { return seed.second.size() < lengths.size(); });
  ScheduleCosts result;
  result.seeds = static_cast<int>(by_seed.size());
  const auto S = static_cast<double>(by_seed.size()), L = static_cast<double>(lengths.size());
  if (S < 2 || L < 2) return result;
  std::map<double, double> seed_mean, length_mean;
  double all = 0, of_seeds = 0, rest = 0;
  for (const auto& [seed, losses] : by_seed)
    for (const auto& [length, loss] : losses)
      seed_mean[seed] += loss / L, length_mean[length] += loss / S, all += loss / (L * S);
  for (const auto& [seed, losses] : by_seed)
    for (const auto& [length, loss] : losses) {
      of_seeds += std::pow(loss - length_mean[length], 2);
      rest += std::pow(loss - length_mean[length] - seed_mean[seed] + all, 2);
    }
  result.degrees = (L - 1) * (S - 1);
  result.seed_sd = std::sqrt(of_seeds / (L * (S - 1)));
  result.error = std::sqrt(rest / result.degrees * 2 / S);
  for (const auto& [length, loss] : length_mean)
    result.costs.push_back({length, loss, loss - length_mean.begin()->second});
  return result;
}

Measure ScheduleCosts::of(double length, const std::string& name) const {
  Measure m;
  m.name = name;
  const auto found =
      std::ranges::find_if(costs, [&](const Cost& c) { return std::fabs(c.length - length) < 0.03; });
  if (found == costs.end() || !(seed_sd > 0)) return m;
  m.value = found->cost / seed_sd;
  m.samples = student_samples(m.value, error / seed_sd, degrees);
  return m;
}

Finding horizon_hurts(Claim claim, const ScheduleCosts& costs, const Manifest& m) {
  Finding f{std::move(claim)};
  if (costs.seeds < 2) {
    f.untestable = "fewer than two seeds have a loss at every length";
    return f;
  }
  Measure hurts = costs.of(1.25, "cost of a schedule 1.25 times as long, in sd of the seeds");
  hurts.null = 0, hurts.low = m("schedule_cost_least"), hurts.least = m("schedule_cost_notable");
  Measure free = costs.of(1.1, "cost of a schedule 1.1 times as long, in sd of the seeds");
  free.high = m("schedule_free_most");
  f.measures = {std::move(hurts), std::move(free)};
  return f;
}

}  // namespace loglog::studies
