#include "fit/choice/suspicions.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/stats.hpp"
#include "fit/choice/influence.hpp"
#include "fit/objective.hpp"
#include "fit/profile.hpp"

namespace loglog::fit {
namespace {

bool has(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

void suspect_far_rows(const Law& law, const Table& table, FitResult& result) {
  constexpr std::size_t kMost = 5;
  const std::vector<int> far = far_rows(result, law.parameter_count());
  if (far.empty()) return;
  std::vector<std::string> named;
  for (const int i : far) {
    if (named.size() == kMost) break;
    const auto k = static_cast<std::size_t>(i);
    named.push_back(fmt::format("{} ({:+.1f}%)", table.place(result.rows[k], law.response),
                                100 * std::expm1(-result.residuals[k])));
  }
  result.warnings.push_back(
      fmt::format("{} rows lie further from the law than noise explains, as diverged runs do: {}{}; `loglog "
                  "fit influence` "
                  "says what they move",
                  far.size(), fmt::join(named, ", "), far.size() > kMost ? ", ..." : ""));
}

// Stretches of rows, in the order of the table, of one N and growing D: group of each row. Those of fewer than three rows are no evidence.
std::vector<std::vector<int>> stretches(const Runs& runs) {
  const std::vector<double>&N = runs.column("N"), &D = runs.column("D");
  std::vector<std::vector<int>> groups;
  for (int i = 0; i < runs.size(); ++i) {
    const auto k = static_cast<std::size_t>(i);
    const bool goes_on = i > 0 && N[k] == N[k - 1] && D[k] > D[k - 1];
    if (!goes_on) groups.emplace_back();
    groups.back().push_back(i);
  }
  std::erase_if(groups, [](const std::vector<int>& group) { return group.size() < 3; });
  return groups;
}

// Whether residuals within the groups are alike: one-way analysis of variance. Large residuals are cut to delta, as the fit does.
bool alike(const std::vector<std::vector<int>>& groups, const FitResult& result) {
  double total = 0, rows = 0;
  const auto residual = [&](int i) {
    return Huber{result.delta}.slope(result.residuals[static_cast<std::size_t>(i)]);
  };
  for (const auto& group : groups)
    for (const int i : group) total += residual(i), rows += 1;
  double between = 0, within = 0;
  for (const auto& group : groups) {
    double sum = 0;
    for (const int i : group) sum += residual(i);
    const double size = static_cast<double>(group.size()), middle = sum / size;
    between += size * std::pow(middle - total / rows, 2);
    for (const int i : group) within += std::pow(residual(i) - middle, 2);
  }
  const double df_between = static_cast<double>(groups.size()) - 1,
               df_within = rows - static_cast<double>(groups.size());
  constexpr double kRounding = 1e-16;  // of a law that goes through its points
  return between > kRounding &&
         between / df_between > within / df_within * f_quantile(0.999, df_between, df_within);
}

void suspect_checkpoints(const Table& table, const Runs& runs, FitResult& result) {
  if (table.has("run")) return;
  if (table.has("progress")) {
    const std::vector<double> progress = table.numbers("progress");
    const auto early = std::ranges::count_if(
        result.rows, [&](int row) { return progress[static_cast<std::size_t>(row)] < 1; });
    if (early > 0)
      result.warnings.push_back(fmt::format(
          "{} losses were read before the end of a run, and no column `run` says which rows share one: "
          "they are not independent, and intervals too narrow",
          early));
    return;
  }
  if (!has(runs.variables, "N") || !has(runs.variables, "D")) return;
  const auto groups = stretches(runs);
  std::size_t rows = 0;
  for (const auto& group : groups) rows += group.size();
  if (groups.size() < 3 || 2 * rows < static_cast<std::size_t>(runs.size()) || !alike(groups, result)) return;
  result.warnings.push_back(fmt::format(
      "residuals are alike in {} stretches of one N and growing D: either these rows are checkpoints of "
      "one run each (a column `run` would say so; intervals are too narrow without), or the law is wrong "
      "there",
      groups.size()));
}

void suspect_open_profiles(const Law& law, const Runs& runs, const ProcedureOptions& options,
                           FitResult& result) {
  if (options.bootstrap <= 0 || !law.form->is_centred() || !result.identified) return;
  const Points points(law, runs.columns, runs.loss);
  const Vector best = law.form->centre(result.theta, points.centres());
  std::map<std::string, std::vector<std::string>> open;  // by side
  for (std::size_t k = 0; k < law.params.size(); ++k) {
    ProfileInterval ends{result.params[k].low, result.params[k].high};
    if (interval_kind_named(options.interval) != IntervalKind::profile)
      ends = profile_interval(points, runs.weight, {result.delta}, best, law.params[k]);
    if (ends.closed()) continue;
    open[std::isfinite(ends.high)  ? "below"
         : std::isfinite(ends.low) ? "above"
                                   : "on either side"]
        .push_back(law.params[k].name);
  }
  for (const auto& [side, names] : open)
    result.warnings.push_back(
        fmt::format("the profile of {} does not close {}: the data do not bound {} there",
                    fmt::join(names, ", "), side, names.size() == 1 ? "it" : "them"));
}

}  // namespace

void add_suspicions(const Law& law, const Table& table, const Runs& runs, const ProcedureOptions& options,
                    FitResult& result) {
  suspect_far_rows(law, table, result);
  suspect_checkpoints(table, runs, result);
  suspect_open_profiles(law, runs, options, result);
}

}  // namespace loglog::fit
