#include "studies/kaplan_measures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "base/stats.hpp"
#include "fit/bootstrap.hpp"
#include "fit/choice/folds.hpp"
#include "fit/interpolate.hpp"
#include "fit/parallel.hpp"
#include "fit/regression.hpp"
#include "fit/surface.hpp"
#include "studies/format.hpp"
#include "studies/samples.hpp"

namespace loglog::studies {
namespace {

// Akaike's criterion for few rows (Hurvich and Tsai 1989), of least squares of ln loss.
double aicc(const fit::FitResult& fit) {
  const auto n = static_cast<double>(fit.residuals.size()), k = static_cast<double>(fit.params.size()) + 1;
  double sum = 0;
  for (const double r : fit.residuals) sum += r * r;
  return n * std::log(sum / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1);
}

std::optional<fit::FitResult> fit_one(const std::string& law, const fit::Runs& runs) {
  try {
    fit::FitResult fit =
        fit::fit_surface(*fit::find_law(law), runs, {std::nullopt, {fit::IntervalKind::wald}});
    if (fit.identified) return fit;
  } catch (const InputError&) {  // too few rows
  }
  return std::nullopt;
}

}  // namespace

ForetoldEnd foretell_end(const fit::Table& table, const std::string& variable, const std::string& response) {
  ForetoldEnd end;
  end.variable = variable;
  fit::RunOptions options;
  options.variables = {variable}, options.response = response;
  const fit::Runs runs = fit::select_runs(table, options);
  const std::vector<double>& x = runs.column(variable);
  end.largest = *std::ranges::max_element(x);
  std::vector<int> below;
  std::vector<double> there;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] < 0.99 * end.largest)
      below.push_back(static_cast<int>(i));
    else
      there.push_back(std::log(runs.loss[i]));
  }
  const fit::Runs own = fit::select_rows(runs, below);
  end.plain = fit_one("power-" + variable, own);
  end.with_floor = fit_one("power-" + variable + "-floor", own);
  if (!end.plain) {
    end.refusal =
        fmt::format("{} runs below the largest {} do not determine a power law", below.size(), variable);
    return end;
  }
  const fit::Law& law = *fit::find_law("power-" + variable);
  const std::vector<double> at = {end.largest};
  end.foretold = fit::predict(law, end.plain->theta, at);
  end.seen = std::exp(mean(there)), end.runs_there = static_cast<int>(there.size());
  // Of the law there, by its intervals; and of the runs there, which scatter as those below do.
  end.degrees = static_cast<double>(below.size()) - 2;
  const fit::Ends ends = end.plain->intervals->of(
      {"ln loss", [&](const fit::Vector& theta) { return std::log(fit::predict(law, theta, at)); }});
  const double of_law = (ends.high - ends.low) / 2 / student_t_quantile(0.975, end.degrees),
               of_run = residual_sd(*end.plain, 2) / std::sqrt(static_cast<double>(there.size()));
  end.error = std::hypot(of_law, of_run);
  const auto plain_all = fit_one("power-" + variable, runs),
             floor_all = fit_one("power-" + variable + "-floor", runs);
  if (plain_all && floor_all) end.floor_gain = aicc(*plain_all) - aicc(*floor_all);
  return end;
}

Finding power_law(Claim claim, const ForetoldEnd& end, const Manifest& m) {
  Finding f{std::move(claim)};
  f.untestable = end.refusal;
  if (!f.untestable.empty()) return f;
  f.single_run = end.runs_there == 1;
  Measure error, width;
  error.name = fmt::format("|ln(loss foretold / seen)| at the largest {}", end.variable);
  error.high = m("end_error_most"), error.falsified = m("end_error_falsified");
  const double value = std::log(end.foretold / end.seen);
  error.value = std::fabs(value);
  for (const double x : student_samples(value, end.error, end.degrees)) error.samples.push_back(std::fabs(x));
  const fit::Interval& alpha = *std::ranges::find(end.plain->params, "alpha", &fit::Interval::name);
  width.name = fmt::format("half of the 95% interval of alpha_{} over alpha", end.variable);
  width.value = (alpha.high - alpha.low) / 2 / alpha.value, width.high = m("alpha_width_most");
  f.measures = {std::move(error), std::move(width)};
  return f;
}

std::vector<Overfit::Cell> Overfit::used(double least_rise) const {
  std::vector<Cell> all;
  for (const Cell& c : cells)
    if (c.rise() >= least_rise) all.push_back(c);
  return all;
}

namespace {

struct Scatter {
  double power = NAN, explained = NAN;
};

double explained_by(double p, const std::vector<Overfit::Cell>& cells, const std::vector<double>& weight) {
  std::vector<double> x, y;
  double sum = 0, mean_y = 0, spread = 0, rest = 0;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    x.push_back(p * std::log(cells[i].N) - std::log(cells[i].unique)), y.push_back(std::log(cells[i].rise()));
    sum += weight[i], mean_y += weight[i] * y[i];
  }
  const auto parabola = fit::fit_parabola(x, y, weight);
  if (!parabola) return NAN;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    spread += weight[i] * std::pow(y[i] - mean_y / sum, 2);
    rest += weight[i] * std::pow(y[i] - (*parabola)(x[i]), 2);
  }
  return 1 - rest / spread;
}

Scatter least_scatter(const std::vector<Overfit::Cell>& cells, const std::vector<double>& weight) {
  Scatter best;
  for (double p = -1; p <= 3; p += 0.02)
    if (const double share = explained_by(p, cells, weight);
        !(share <= best.explained) && std::isfinite(share))
      best = {p, share};
  return best;
}

}  // namespace

Collapse collapse_of(const Overfit& overfit, const Manifest& m, std::uint64_t seed) {
  constexpr int kFewest = 6;  // a parabola and p, and something to explain
  const std::vector<Overfit::Cell> cells = overfit.used(m("rise_least"));
  Collapse c;
  c.cells = static_cast<int>(cells.size());
  if (c.cells < kFewest) return c;
  const std::vector<double> even(cells.size(), 1);
  const Scatter found = least_scatter(cells, even);
  c.power.value = found.power, c.explained.value = found.explained;
  std::vector<int> own(cells.size());
  for (std::size_t i = 0; i < own.size(); ++i) own[i] = static_cast<int>(i);
  const auto resamples = static_cast<std::uint64_t>(m("resamples"));
  std::uint64_t lost = 0;
  for (std::uint64_t b = 0; b < resamples; ++b) {
    const Scatter s = least_scatter(cells, fit::resample_counts(own, c.cells, seed, b));
    if (std::isfinite(s.power))
      c.power.samples.push_back(s.power), c.explained.samples.push_back(s.explained);
    else
      ++lost;
  }
  c.power.undefined = c.explained.undefined = static_cast<double>(lost) / static_cast<double>(resamples);
  return c;
}

Finding collapsed(Claim claim, const Collapse& collapse, const Manifest& m) {
  Finding f{std::move(claim)};
  if (std::isnan(collapse.power.value)) {
    f.untestable = fmt::format("only {} cells have a loss that limited text raises by {} or more",
                               collapse.cells, percent(m("rise_least")));
    return f;
  }
  Measure power = collapse.power, explained = collapse.explained;
  power.name = "p of N^p / D", power.null = 0, power.low = m("power_notable"),
  power.least = m("power_notable");
  explained.name = "share of the variance of ln(rise) that it explains", explained.low = m("explained_least");
  f.measures = {std::move(power), std::move(explained)};
  return f;
}

namespace {

// One count of the same runs, and the law's fit in it.
struct InCount {
  fit::Runs runs;
  fit::FitResult fit;
  double a() const { return fit.optimum.front().value; }
};

InCount in_count(const fit::Table& table, const std::string& count) {
  const fit::Law& law = *fit::find_law("chinchilla");
  fit::Table counted = table;
  if (count != "N") counted.rename("N", "N_of_sweep"), counted.rename(count, "N");
  InCount c{fit::columns_of(fit::select_runs(counted, {{"N", "D"}}), law), {}};
  c.fit = fit::fit_surface(law, c.runs, {std::nullopt, {fit::IntervalKind::wald}});
  if (c.fit.optimum.empty()) throw InputError(fmt::format("the law is not identified in {}", count));
  return c;
}

double a_of(const fit::Vector& theta) {
  return fit::find_law("chinchilla")->optimum.front().value(theta);
}

std::vector<double> less(const std::vector<double>& x, const std::vector<double>& y) {
  std::vector<double> difference;
  for (std::size_t i = 0; i < x.size(); ++i) difference.push_back(x[i] - y[i]);
  return difference;
}

}  // namespace

Accounting accounting_of(const fit::Table& corrected, const fit::Table& conditions, const Manifest& m,
                         const Workplace& w) {
  const fit::Law& law = *fit::find_law("chinchilla");
  const int resamples = static_cast<int>(m("resamples"));
  Accounting result;
  std::optional<InCount> own, kaplan, theirs;
  try {
    own = in_count(corrected, "N"), kaplan = in_count(corrected, "n_nonemb");
  } catch (const InputError& error) {
    result.refusal = result.conditions_refusal = error.what();
    return result;
  }
  try {
    theirs = in_count(conditions, "n_nonemb");
  } catch (const InputError& error) {
    result.conditions_refusal = error.what();
  }
  const std::size_t count = static_cast<std::size_t>(resamples);
  std::vector<double> a(count), a_kaplan(count), a_theirs(count, NAN);
  fit::for_each_index(w.threads, resamples, [&](int b) {
    const auto i = static_cast<std::size_t>(b);
    const auto draw = static_cast<std::uint64_t>(b);
    const std::vector<double> losses = losses_anew(own->runs, own->fit, w.seed, draw);
    a[i] = a_of(refitted(law, own->runs, own->fit, losses, own->runs.weight));
    a_kaplan[i] = a_of(refitted(law, kaplan->runs, kaplan->fit, losses, kaplan->runs.weight));
    if (!theirs) return;
    const std::vector<double> others = losses_anew(theirs->runs, theirs->fit, w.seed + 1, draw);
    a_theirs[i] = a_of(refitted(law, theirs->runs, theirs->fit, others, theirs->runs.weight));
  });
  result.a = own->a(), result.a_kaplan = kaplan->a(), result.gap_draws = less(a_kaplan, a);
  if (theirs) result.a_conditions = theirs->a(), result.conditions_draws = less(a_theirs, a);
  result.t = student_t_quantile(0.975, own->runs.size() - 5.0);
  return result;
}

namespace {

Finding gap_finding(Claim claim, const std::string& refusal, const std::string& name, double value,
                    const std::vector<double>& draws, double t, const Manifest& m) {
  Finding f{std::move(claim)};
  f.untestable = refusal;
  if (!refusal.empty()) return f;
  Measure gap;
  gap.name = name, gap.null = 0, gap.low = m("gap_least"), gap.least = m("gap_notable");
  set_samples(gap, value, draws, t);
  f.measures = {std::move(gap)};
  return f;
}

}  // namespace

Finding accounting_gap(Claim claim, const Accounting& a, const Manifest& m) {
  return gap_finding(std::move(claim), a.refusal, "a in Kaplan's count less a in ours, of the same runs",
                     a.a_kaplan - a.a, a.gap_draws, a.t, m);
}

Finding conditions_gap(Claim claim, const Accounting& a, const Manifest& m) {
  return gap_finding(std::move(claim), a.conditions_refusal,
                     "a under Kaplan's conditions, in his count, less a of tuned runs in ours",
                     a.a_conditions - a.a, a.conditions_draws, a.t, m);
}

namespace {

// N of matrices and head by N without either, had the models of a table this vocabulary: their widths go as a power of their size, and a smooth
// family has no kinks for a best size to stick at.
std::string count_formula(const fit::Table& table, std::int64_t vocab) {
  std::vector<double> log_N, log_width;
  for (const double n : table.numbers("n_nonemb")) log_N.push_back(std::log(n));
  for (const double width : table.numbers("model.width")) log_width.push_back(std::log(width));
  const fit::Line line = fit::fit_line(log_N, log_width, std::vector<double>(log_N.size(), 1));
  return fmt::format("N + {:.6g} * N^{:.6g}", static_cast<double>(vocab) * std::exp(line.intercept),
                     line.slope);
}

}  // namespace

std::vector<ForetoldGap> foretell_gaps(const fit::Table& corrected, const Workplace& w) {
  const std::vector<double> N = corrected.numbers("n_nonemb"), D = corrected.numbers("D");
  std::vector<ForetoldGap> all;
  for (const std::int64_t vocab : {64, 256, 512, 1024, 4096}) {
    ForetoldGap g{vocab, {}, ""};
    try {
      fit::ProcedureOptions options;
      options.interval = "wald", options.seed = w.seed, options.threads = w.threads;
      const fit::FittedLaw law = fit::fit_law(fit::law_named("chinchilla"), corrected, options);
      const auto [least, largest] = std::ranges::minmax(N);
      const fit::ModelFamily family(count_formula(corrected, vocab), least / 4, 4 * largest);
      // Of the middle of the rows: their compute in Kaplan's count.
      std::vector<double> C;
      for (std::size_t i = 0; i < N.size(); ++i) C.push_back(6 * N[i] * D[i]);
      const std::vector<double> budgets = fit::log_spaced(quantile(C, 0.25), quantile(C, 0.75), 12);
      const fit::Conversion found = fit::convert(law, family, budgets);
      g.gap = found.gap;
      if (found.other.points.size() < budgets.size() || found.law.points.size() < budgets.size())
        g.refusal = "in part of these rows the best model is none between the least and the largest";
      else if (!(found.a_other.value > 0 && found.a_other.value < 1 && found.a_law.value > 0 &&
                 found.a_law.value < 1))
        g.refusal = "of these models hardly anything but the head grows: no exponent between 0 and 1";
    } catch (const Error& error) {
      g.refusal = error.what();
    }
    all.push_back(std::move(g));
  }
  return all;
}

}  // namespace loglog::studies
