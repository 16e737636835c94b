// The controls of the study `chinchilla`.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "base/stats.hpp"
#include "fit/isoflop.hpp"
#include "fit/parallel.hpp"
#include "fit/surface.hpp"
#include "studies/chinchilla_measures.hpp"
#include "studies/format.hpp"

namespace loglog::studies {
namespace {

// Nine budgets of ten sizes around the optimum of the source's own law.
struct PlantedSweep {
  fit::Vector truth{};
  fit::Runs runs;
};
PlantedSweep planted_sweep() {
  constexpr double kA = 406.4, kB = 410.7, kE = 1.69, kAlpha = 0.34, kBeta = 0.28;
  PlantedSweep s;
  s.truth = {std::log(kA), std::log(kB), std::log(kE), kAlpha, kBeta};
  s.runs.variables = {"N", "D"};
  s.runs.columns.resize(2);
  const double G = std::pow(kAlpha * kA / (kBeta * kB), 1 / (kAlpha + kBeta));
  for (int budget = 0; budget < 9; ++budget)
    for (int size = 0; size < 10; ++size) {
      const double C = 6e18 * std::pow(500.0, budget / 8.0);
      const double N = G * std::pow(C / 6, kBeta / (kAlpha + kBeta)) * std::pow(16.0, (size - 4.5) / 4.5);
      const std::vector<double> x = {N, C / (6 * N)};
      s.runs.columns[0].push_back(x[0]), s.runs.columns[1].push_back(x[1]);
      s.runs.loss.push_back(fit::predict(*fit::find_law("chinchilla"), s.truth, x));
      s.runs.weight.push_back(1), s.runs.row.push_back(s.runs.clusters),
          s.runs.cluster.push_back(s.runs.clusters++);
    }
  return s;
}

}  // namespace

Control planted_law(const Manifest& m, const Workplace& w) {
  const fit::Law& law = *fit::find_law("chinchilla");
  const PlantedSweep sweep = planted_sweep();
  const int draws = static_cast<int>(m("planted_draws"));
  std::vector<fit::Quantity> numbers;  // those that vary evenly
  for (const fit::Quantity& q : law.params)
    numbers.push_back(
        q.name == "alpha" || q.name == "beta" ? q : fit::Quantity{"ln " + q.name, [q](const fit::Vector& t) {
                                                                    return std::log(q.value(t));
                                                                  }});
  std::vector<std::vector<int>> inside(static_cast<std::size_t>(draws), std::vector<int>(numbers.size(), 0));
  const double t = student_t_quantile(0.975, sweep.runs.size() - 5.0);
  fit::for_each_index(w.threads, draws, [&](int draw) {
    fit::Runs noisy = sweep.runs;
    const Rng rng(w.seed, static_cast<std::uint64_t>(draw));
    for (std::size_t i = 0; i < noisy.loss.size(); ++i)
      noisy.loss[i] *= std::exp(m("planted_noise") * rng.normal(i));
    const fit::FitResult fit = fit::fit_surface(law, noisy, {std::nullopt, {fit::IntervalKind::wald}});
    if (fit.intervals == nullptr) return;
    for (std::size_t k = 0; k < numbers.size(); ++k) {
      const fit::Ends ends = fit.intervals->of(numbers[k]);
      const double se = (ends.high - ends.low) / 2 / t,
                   off = numbers[k].value(fit.theta) - numbers[k].value(sweep.truth);
      inside[static_cast<std::size_t>(draw)][k] = std::fabs(off) <= 2 * se;
    }
  });
  const double least = m("planted_share_least"), chance = std::sqrt(least * (1 - least) / draws);
  Control c{"a planted law is recovered", true, true, ""};
  for (std::size_t k = 0; k < numbers.size(); ++k) {
    double share = 0;
    for (const auto& of : inside) share += of[k] / static_cast<double>(draws);
    c.behaved = c.behaved && share >= least - normal_quantile(0.99) * chance;
    c.text += fmt::format("{}{} {}", k > 0 ? ", " : "", numbers[k].name, percent(share));
  }
  c.text = fmt::format(
      "within two standard errors of the truth in so many of {} draws with noise of {}: {}; asked for {}, "
      "less what chance "
      "takes away in one of a hundred",
      draws, percent(m("planted_noise")), c.text, percent(least));
  return c;
}

namespace {

std::optional<fit::FitResult> isoflop_of(const fit::Table& table, const Workplace& w) {
  fit::IsoflopOptions options;
  options.seed = w.seed, options.threads = w.threads;
  try {
    return fit::fit_isoflop(fit::select_runs(table, {{"N", "D", "C"}}), options);
  } catch (const InputError&) {
    return std::nullopt;
  }
}

}  // namespace

std::optional<Control> truncated_runs(const fit::Table& cooled, const fit::Table& truncated,
                                      const Workplace& w) {
  const std::vector<double> budgets = truncated.numbers("budget");
  const double most = *std::ranges::max_element(budgets);
  std::vector<int> same;  // rows of the cooled runs
  for (int i = 0; i < cooled.rows(); ++i)
    if (cooled.numbers("budget")[static_cast<std::size_t>(i)] <= most) same.push_back(i);
  const auto with = isoflop_of(cooled.select(same), w), without = isoflop_of(truncated, w);
  if (!with) return std::nullopt;
  Control c{"runs stopped before they cool down give another allocation", true, false, ""};
  if (!without) {
    c.behaved = true, c.text = "fewer than three rows of them have a minimum inside";
    return c;
  }
  double farthest = 0;
  std::string where;
  const auto look = [&](const std::string& name, double difference, double error) {
    if (!(std::fabs(difference) / error > farthest)) return;
    farthest = std::fabs(difference) / error;
    where = fmt::format("{} differs by {:+.3g}, {:.1f} standard errors", name, difference, farthest);
  };
  const auto spread = [](const fit::Interval& i) { return (i.high - i.low) / 2 / 1.96; };
  const fit::Interval &a = with->optimum.front(), &b = without->optimum.front();
  look("a", b.value - a.value, std::hypot(spread(a), spread(b)));
  int looks = 1;
  for (const fit::Budget& x : with->budgets)
    for (const fit::Budget& y : without->budgets)
      if (x.used && y.used && std::fabs(std::log(x.C / y.C)) < 0.1) {
        ++looks;
        look(fmt::format("ln N_opt at {:.0e}", x.C), std::log(y.N_opt / x.N_opt),
             std::hypot(x.se_log_N, y.se_log_N));
      }
  c.behaved = farthest > normal_quantile(1 - 0.025 / looks);
  c.text = fmt::format("a is {:.3f} with the cooldown and {:.3f} without; most of all {}", a.value, b.value,
                       where);
  return c;
}

}  // namespace loglog::studies
