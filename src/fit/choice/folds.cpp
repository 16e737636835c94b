#include "fit/choice/folds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>

#include "base/error.hpp"
#include "fit/budgets.hpp"

namespace loglog::fit {
namespace {

constexpr int kMostScales = 12;
constexpr double kDearestShare = 0.25;

bool has(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// What rows are sorted by, and what that is called.
struct Ruler {
  std::string name;
  std::vector<double> values;
};

double decades(const std::vector<double>& values) {
  const auto [low, high] = std::ranges::minmax_element(values);
  return std::log10(*high / *low);
}

Ruler cost_of(const Runs& runs) {
  if (has(runs.variables, "C")) return {"C", runs.column("C")};
  if (has(runs.variables, "N") && has(runs.variables, "D")) {
    Ruler ruler{"N D", runs.column("N")};
    for (std::size_t i = 0; i < ruler.values.size(); ++i) ruler.values[i] *= runs.column("D")[i];
    return ruler;
  }
  std::size_t widest = 0;
  for (std::size_t v = 1; v < runs.columns.size(); ++v)
    if (decades(runs.columns[v]) > decades(runs.columns[widest])) widest = v;
  return {runs.variables[widest], runs.columns[widest]};
}

Ruler ruler_of(const Runs& runs, const HoldoutPlan& plan) {
  if (plan.variable.empty()) return cost_of(runs);
  return {plan.variable, runs.column(plan.variable)};
}

using Group = std::vector<int>;

// Rows of equal scale, ascending.
std::vector<Group> scales_of(const std::vector<double>& values) {
  Group order(values.size());
  std::iota(order.begin(), order.end(), 0);
  const auto value = [&](int row) { return values[static_cast<std::size_t>(row)]; };
  std::ranges::stable_sort(order, {}, value);
  std::vector<Group> groups;
  for (const int row : order) {
    if (groups.empty() || value(row) > value(groups.back().front()) * (1 + kBudgetTolerance))
      groups.emplace_back();
    groups.back().push_back(row);
  }
  while (static_cast<int>(groups.size()) > kMostScales) {  // the two neighbours that make the smallest group
    std::size_t at = 0;
    const auto joined = [&](std::size_t i) { return groups[i].size() + groups[i + 1].size(); };
    for (std::size_t i = 1; i + 1 < groups.size(); ++i)
      if (joined(i) < joined(at)) at = i;
    groups[at].insert(groups[at].end(), groups[at + 1].begin(), groups[at + 1].end());
    groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  return groups;
}

Group others(int rows, const Group& without) {
  Group rest;
  for (int row = 0; row < rows; ++row)
    if (std::ranges::find(without, row) == without.end()) rest.push_back(row);
  return rest;
}

std::string scale_name(const Ruler& ruler, const Group& group) {
  const double low = ruler.values[static_cast<std::size_t>(group.front())],
               high = ruler.values[static_cast<std::size_t>(group.back())];
  const std::string first = fmt::format("{:.4g}", low), last = fmt::format("{:.4g}", high);
  return fmt::format("{} = {}", ruler.name, first == last ? first : first + ".." + last);
}

// Rows below the limit are fitted, the others predicted.
std::vector<Fold> cut_at(const Ruler& ruler, double limit) {
  Fold fold{fmt::format("{} >= {:.4g}", ruler.name, limit), {}, {}};
  for (std::size_t i = 0; i < ruler.values.size(); ++i)
    (ruler.values[i] < limit ? fold.train : fold.test).push_back(static_cast<int>(i));
  return {fold};
}

// Rows of one cost are never torn apart.
std::vector<Fold> dearest(const Ruler& ruler) {
  std::vector<double> sorted = ruler.values;
  std::ranges::sort(sorted);
  const auto place = static_cast<std::size_t>(static_cast<double>(sorted.size()) * (1 - kDearestShare));
  return cut_at(ruler, sorted[std::min(place, sorted.size() - 1)] / (1 + kBudgetTolerance));
}

std::vector<Fold> expanding(const Ruler& ruler, int fewest) {
  std::vector<Fold> folds;
  Group seen;
  for (const Group& group : scales_of(ruler.values)) {
    if (static_cast<int>(seen.size()) >= fewest) folds.push_back({scale_name(ruler, group), seen, group});
    seen.insert(seen.end(), group.begin(), group.end());
  }
  return folds;
}

std::vector<Fold> each_scale(const Runs& runs, const Ruler& ruler) {
  std::vector<Fold> folds;
  for (const Group& group : scales_of(ruler.values))
    folds.push_back({scale_name(ruler, group), others(runs.size(), group), group});
  return folds;
}

std::vector<Fold> each_run(const Runs& runs) {
  std::map<int, Group> members;
  for (int row = 0; row < runs.size(); ++row)
    members[runs.cluster[static_cast<std::size_t>(row)]].push_back(row);
  std::vector<Fold> folds;
  for (const auto& [run, rows] : members)
    folds.push_back({fmt::format("run {}", run + 1), others(runs.size(), rows), rows});
  return folds;
}

double limit_of(std::string_view text, std::string_view number) {
  double limit = 0;
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), limit);
  if (parsed.ec != std::errc() || parsed.ptr != number.data() + number.size() || !(limit > 0))
    throw UsageError(fmt::format("--holdout '{}': '{}' is no positive number", text, number));
  return limit;
}

}  // namespace

std::string HoldoutPlan::in_words() const {
  const std::string by = variable.empty() ? "cost" : variable;
  switch (kind) {
    case Kind::below:
      return fmt::format("fitted where {} < {:.4g}, judged on the others", variable, limit);
    case Kind::expanding:
      return fmt::format("the cheapest scales of {} fitted, the next predicted", by);
    case Kind::scale:
      return fmt::format("each scale of {} predicted from the others", by);
    case Kind::run:
      return "each run predicted from the others";
    default:
      return "the cheaper three quarters fitted, judged on the dearest";
  }
}

HoldoutPlan holdout_named(std::string_view text) {
  using Kind = HoldoutPlan::Kind;
  if (text.empty()) return {};
  if (text == "run") return {Kind::run};
  if (text == "expanding") return {Kind::expanding};
  const auto after = [&](std::string_view start) {
    return text.starts_with(start) && text.size() > start.size() ? std::string(text.substr(start.size()))
                                                                 : std::string();
  };
  if (const std::string variable = after("expanding:"); !variable.empty()) return {Kind::expanding, variable};
  if (const std::string variable = after("scale:"); !variable.empty()) return {Kind::scale, variable};
  const std::size_t less = text.find('<');
  if (less == std::string_view::npos || less == 0)
    throw UsageError(
        fmt::format("--holdout '{}': one of C<1e21, expanding, expanding:C, scale:N, run", text));
  return {Kind::below, std::string(text.substr(0, less)), limit_of(text, text.substr(less + 1))};
}

std::vector<std::string> columns_for(const HoldoutPlan& plan, const Table& table,
                                     std::vector<std::string> variables) {
  const auto add = [&](const std::string& name) {
    if (!has(variables, name)) variables.push_back(name);
  };
  if (!plan.variable.empty()) add(plan.variable);
  const bool needs_cost = plan.variable.empty() && plan.kind != HoldoutPlan::Kind::run;
  if (needs_cost && table.has("C")) add("C");
  return variables;
}

std::vector<Fold> make_folds(const Runs& runs, const HoldoutPlan& plan, int fewest) {
  using Kind = HoldoutPlan::Kind;
  std::vector<Fold> folds;
  if (plan.kind == Kind::run) {
    folds = each_run(runs);
  } else {
    const Ruler ruler = ruler_of(runs, plan);
    folds = plan.kind == Kind::below       ? cut_at(ruler, plan.limit)
            : plan.kind == Kind::expanding ? expanding(ruler, fewest)
            : plan.kind == Kind::scale     ? each_scale(runs, ruler)
                                           : dearest(ruler);
  }
  std::erase_if(folds, [&](const Fold& fold) {
    return static_cast<int>(fold.train.size()) < fewest || fold.test.empty();
  });
  if (folds.empty())
    throw InputError(fmt::format("{} rows, {}: nowhere are there {} rows to fit and one to predict",
                                 runs.size(), plan.in_words(), fewest));
  return folds;
}

Runs select_rows(const Runs& runs, const std::vector<int>& rows) {
  Runs part;
  part.variables = runs.variables;
  part.columns.resize(runs.columns.size());
  std::map<int, int> number;
  for (const int row : rows) {
    const auto i = static_cast<std::size_t>(row);
    for (std::size_t v = 0; v < runs.columns.size(); ++v) part.columns[v].push_back(runs.columns[v][i]);
    part.loss.push_back(runs.loss[i]);
    part.weight.push_back(runs.weight[i]);
    if (!runs.budget.empty()) part.budget.push_back(runs.budget[i]);
    if (!runs.seed.empty()) part.seed.push_back(runs.seed[i]);
    part.cluster.push_back(number.emplace(runs.cluster[i], static_cast<int>(number.size())).first->second);
    part.row.push_back(runs.row[i]);
  }
  part.clusters = static_cast<int>(number.size());
  return part;
}

Runs columns_of(const Runs& runs, const Law& law) {
  Runs part = runs;
  part.variables = law.variables;
  part.columns.clear();
  for (const std::string& name : law.variables) part.columns.push_back(runs.column(name));
  return part;
}

}  // namespace loglog::fit
