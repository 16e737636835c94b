#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "fit/parallel.hpp"
#include "fit/selftest/coverage.hpp"
#include "fit/selftest/laws.hpp"
#include "fit/surface.hpp"

namespace loglog::fit {
namespace {

constexpr double kNoise = 0.003;
constexpr int kShare = 20;  // formulas take up to a second a sweep

// The losses of a design with noise, each row a run.
Runs noisy_runs(const LawDesign& design, std::uint64_t seed, std::uint64_t sweep) {
  const Rng rng(seed, sweep);
  Runs runs;
  runs.variables = design.law->variables;
  runs.columns = design.columns;
  for (std::uint64_t i = 0; i < design.loss.size(); ++i) {
    runs.loss.push_back(design.loss[i] * std::exp(kNoise * rng.normal(i)));
    runs.row.push_back(static_cast<int>(i)), runs.cluster.push_back(static_cast<int>(i));
  }
  runs.weight.assign(runs.loss.size(), 1);
  runs.clusters = runs.size();
  return runs;
}

std::vector<Judgement> judge_law(const LawDesign& design, const CoverageOptions& o) {
  std::vector<std::vector<Trial>> trials(design.truth.size(),
                                         std::vector<Trial>(static_cast<std::size_t>(o.sweeps)));
  for_each_index(o.threads, o.sweeps, [&](int i) {
    const auto sweep = static_cast<std::uint64_t>(i);
    const FitResult r = fit_surface(*design.law, noisy_runs(design, o.seed, sweep),
                                    {std::nullopt, {IntervalKind::profile, 1, 1, 1}});
    std::vector<Interval> found = r.params;
    found.insert(found.end(), r.optimum.begin(), r.optimum.end());
    for (std::size_t k = 0; k < trials.size(); ++k)
      trials[k][sweep] = k < found.size()
                             ? Trial{found[k].value, found[k].low, found[k].high, design.truth[k].value}
                             : Trial{NAN, NAN, NAN, design.truth[k].value};
  });
  std::vector<Judgement> list;
  // What no theta changes, a of tied exponents, is no estimate.
  const auto is_fixed = [](const Trial& t) { return t.low == t.truth && t.high == t.truth; };
  for (std::size_t k = 0; k < trials.size(); ++k)
    if (!std::ranges::all_of(trials[k], is_fixed))
      list.push_back(judge(design.truth[k].name, trials[k], kExact, kAnyWidth));
  return list;
}

// The design with one place fewer than the law has parameters, again and again. Of a law with two that is one place, which is refused.
LawDesign with_too_few_places(LawDesign design) {
  constexpr std::size_t kRows = 30;
  const auto places = static_cast<std::size_t>(design.law->parameter_count() - 1);
  const std::size_t all = design.loss.size();
  LawDesign few = design;
  for (std::vector<double>& column : few.columns) column.clear();
  few.loss.clear();
  for (std::size_t i = 0; i < kRows; ++i) {
    const std::size_t place = places == 1 ? 0 : i % places * (all - 1) / (places - 1);
    for (std::size_t v = 0; v < design.columns.size(); ++v)
      few.columns[v].push_back(design.columns[v][place]);
    few.loss.push_back(design.loss[place]);
  }
  return few;
}

Judgement judge_degenerate(const LawDesign& design, const CoverageOptions& o) {
  std::vector<char> said(static_cast<std::size_t>(o.sweeps));
  const LawDesign few = with_too_few_places(design);
  for_each_index(o.threads, o.sweeps, [&](int i) {
    try {
      const FitResult r = fit_surface(*few.law, noisy_runs(few, o.seed, static_cast<std::uint64_t>(i)),
                                      {std::nullopt, {IntervalKind::automatic, 0}});
      said[static_cast<std::size_t>(i)] = !r.identified && r.optimum.empty() ? 1 : 0;
    } catch (const InputError&) {
      said[static_cast<std::size_t>(i)] = 1;
    }
  });
  return judge_share("not identified at too few places", said, 100, 100);
}

}  // namespace

std::vector<CoverageRow> law_coverage_rows() {
  std::vector<CoverageRow> rows;
  for (const Law& law : laws()) {
    const std::optional<LawDesign> design = stated_design(law);
    if (!design) continue;  // the self-test of laws says so
    const int share = law.form->is_centred() ? 1 : kShare;
    rows.push_back({fmt::format("law {}, noise of 0.3%, {} runs{}", law.name, design->loss.size(),
                                share == 1 ? "" : ", a twentieth of the sweeps"),
                    [design, share](CoverageOptions o) {
                      o.sweeps = std::max(1, o.sweeps / share);
                      std::vector<Judgement> list = judge_law(*design, o);
                      list.push_back(judge_degenerate(*design, o));
                      return list;
                    }});
  }
  return rows;
}

}  // namespace loglog::fit
