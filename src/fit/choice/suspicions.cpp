#include "fit/choice/suspicions.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "fit/choice/influence.hpp"
#include "fit/objective.hpp"
#include "fit/profile.hpp"

namespace loglog::fit {
namespace {

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

// Rows that only look like checkpoints are found by their residuals (fit/residual_checks.hpp).
void suspect_checkpoints(const Table& table, FitResult& result) {
  if (table.has("run") || !table.has("progress")) return;
  const std::vector<double> progress = table.numbers("progress");
  const auto early = std::ranges::count_if(
      result.rows, [&](int row) { return progress[static_cast<std::size_t>(row)] < 1; });
  if (early == 0) return;
  result.warnings.push_back(fmt::format(
      "{} losses were read before the end of a run, and no column `run` says which rows share one: they "
      "are not independent, and intervals too narrow",
      early));
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
  suspect_checkpoints(table, result);
  suspect_open_profiles(law, runs, options, result);
}

}  // namespace loglog::fit
