#include "sweep/grid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "base/error.hpp"
#include "model/config_value.hpp"
#include "model/count.hpp"
#include "sweep/trunk.hpp"

namespace loglog::sweep {
namespace {

using Variables = std::map<std::string, double, std::less<>>;

constexpr std::string_view kRuleVariables[] = {"N",      "N_nonemb", "N_total", "D",       "C",
                                               "layers", "width",    "heads",   "context", "vocab",
                                               "batch",  "steps",    "lr",      "epochs"};

double evaluate(const Rule& rule, const Variables& known) {
  std::vector<double> values;
  for (const std::string& name : rule.formula.variables()) {
    const auto found = known.find(name);
    if (found == known.end()) {
      std::vector<std::string_view> names;
      for (const auto& [variable, value] : known) names.push_back(variable);
      throw_unknown_name(fmt::format("variable in {} = \"{}\"", rule.place, rule.formula.text()), name,
                         names);
    }
    values.push_back(found->second);
  }
  const double value = rule.formula.evaluate(values);
  constexpr double kLeast = 1e-300,
                   kMost = 1e300;  // what four digits can say without rounding to 0 or infinity
  if (value != 0 && !(std::abs(value) >= kLeast && std::abs(value) <= kMost)) {
    throw UsageError(fmt::format("{} = \"{}\" gives {}, it must be a finite number", rule.place,
                                 rule.formula.text(), value));
  }
  return std::stod(fmt::format("{:.3e}", value));
}

// "3e+12" as people write it in names: 3e12; 2.5e+06: 2.5e6.
std::string short_number(double value) {
  if (value < 1e4) return fmt::format("{:.4g}", value);
  const int exponent = static_cast<int>(std::floor(std::log10(value) + 1e-9));
  return fmt::format("{:.4g}e{}", value / std::pow(10.0, exponent), exponent);
}

// The point of the sweep that one set of seeds is trained at.
struct Point {
  const SizeSpec* size;
  const VariantSpec* variant;  // null: the sweep as it is
  double budget;               // 0 in grids
  double tokens;               // asked for; steps make it a multiple of the batch
  std::vector<std::pair<std::string, double>> varied;
};

class Expansion {
 public:
  Expansion(const SweepSpec& spec, const FactsOf& facts_of) : spec_(spec), facts_of_(facts_of) {
    check_vary_names();
  }

  Grid run() {
    if (spec_.variants.empty()) add_variant(nullptr);
    for (const VariantSpec& variant : spec_.variants) add_variant(&variant);
    if (grid_.cells.empty()) refuse_empty();
    if (spec_.share_trunks) share_trunks(grid_.cells);
    return std::move(grid_);
  }

 private:
  void add_variant(const VariantSpec* variant) {
    if (spec_.isoflop) {
      for (const BudgetSpec& budget : spec_.budgets)
        for (const SizeSpec& size : spec_.sizes)
          if (budget.sizes.empty() || std::count(budget.sizes.begin(), budget.sizes.end(), size.name) > 0) {
            const double flops = model::count_flops_per_token(config_of(size, variant).model).math;
            vary({&size, variant, budget.flops, budget.flops / flops, {}});
          }
      return;
    }
    for (const SizeSpec& size : spec_.sizes) {
      const double n = model::count_parameters(config_of(size, variant).model).n_matrix;
      for (const double tokens : spec_.tokens) vary({&size, variant, 0, tokens, {}});
      for (const double ratio : spec_.tokens_per_parameter) vary({&size, variant, 0, ratio * n, {}});
    }
  }

  [[noreturn]] void refuse_empty() const {
    if (grid_.left_out.empty())
      throw UsageError(fmt::format(
          "sweep '{}' has no runs{}", spec_.name,
          spec_.goal ? ": it has a goal and no budgets, which `loglog sweep design` proposes" : ""));
    throw UsageError(fmt::format(
        "sweep '{}' has no runs: its rule keep = \"{}\" leaves out all {} points; the text has "
        "{:.3g} tokens to train on",
        spec_.name, rule("keep")->formula.text(), grid_.left_out.size(), facts_of_(spec_.base).train_tokens));
  }

  void check_vary_names() const {
    for (const auto& [name, values] : spec_.vary)
      for (const std::string_view taken : kRuleVariables)
        if (taken == name)
          throw UsageError(fmt::format("[vary] {}: rules know another variable of this name", name));
  }

  model::RunConfig config_of(const SizeSpec& size, const VariantSpec* variant) const {
    model::RunConfig config = spec_.base;
    model::ModelConfig& m = config.model;
    m.layers = size.layers;
    m.width = size.width;
    m.heads = size.heads;
    if (variant != nullptr)
      for (const VariantSpec::Change& change : variant->changes)
        set_key(config, change.key, change.value, change.place);
    if (m.vocab == 0) m.vocab = facts_of_(config).vocab;
    return config;
  }

  // Every combination of the values of [vary].
  void vary(Point point) {
    if (point.varied.size() == spec_.vary.size()) return add_seeds(point);
    const auto& [name, values] = spec_.vary[point.varied.size()];
    for (const double value : values) {
      Point next = point;
      next.varied.emplace_back(name, value);
      vary(std::move(next));
    }
  }

  Variables variables(const Point& point, const model::RunConfig& config) const {
    const model::ModelConfig& m = config.model;
    const model::ParameterCounts counts = model::count_parameters(m);
    Variables known = {{"N", counts.n_matrix},
                       {"N_nonemb", counts.n_nonemb},
                       {"N_total", counts.n_total},
                       {"D", point.tokens},
                       {"C", point.tokens * model::count_flops_per_token(m).math},
                       {"epochs", point.tokens / facts_of_(config).train_tokens},
                       {"layers", static_cast<double>(m.layers)},
                       {"width", static_cast<double>(m.width)},
                       {"heads", static_cast<double>(m.heads)},
                       {"context", static_cast<double>(m.context)},
                       {"vocab", static_cast<double>(m.vocab)}};
    known.insert(point.varied.begin(), point.varied.end());
    return known;
  }

  const Rule* rule(std::string_view key) const {
    for (const Rule& rule : spec_.rules)
      if (rule.key == key) return &rule;
    return nullptr;
  }

  void add_seeds(const Point& point) {
    model::RunConfig config = config_of(*point.size, point.variant);
    Variables known = variables(point, config);
    set_length(config, known, point);
    known.emplace("lr", config.train.lr);
    for (const Rule& other : spec_.rules) {
      if (other.key == "batch" || other.key == "seeds" || other.key == "keep") continue;
      const double value = evaluate(other, known);
      set_key(config, "train." + other.key, value, other.place);
      if (other.key == "lr") known["lr"] = value;
    }
    if (const Rule* keep = rule("keep"); keep != nullptr && evaluate(*keep, known) == 0) {
      grid_.left_out.push_back(point_name(point));
      return;
    }
    std::vector<std::int64_t> seeds = spec_.seeds;
    if (const Rule* count = rule("seeds")) {
      constexpr double kMost = 10000;
      const double value = evaluate(*count, known);
      if (value != std::round(value) || !(value >= 0 && value <= kMost)) {
        throw UsageError(fmt::format("{} = \"{}\" gives {}, it must be a whole number from 0 to {}",
                                     count->place, count->formula.text(), value, kMost));
      }
      seeds.resize(static_cast<std::size_t>(value));
      std::iota(seeds.begin(), seeds.end(), 1);
    }
    try {
      model::resolve(config, facts_of_(config).vocab);
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("{}: {}: {}", point.size->place, point_name(point), error.what()));
    }
    for (const std::int64_t seed : seeds) add(point, config, known, seed);
  }

  // Batch from its rule, then steps from the tokens; D, C and epochs become those of the whole steps.
  void set_length(model::RunConfig& config, Variables& known, const Point& point) const {
    if (const Rule* batch = rule("batch"))
      set_key(config, "train.batch", std::round(evaluate(*batch, known)), batch->place);
    const auto step_tokens = static_cast<double>(config.train.batch * config.model.context);
    const double steps = std::max(1.0, std::round(point.tokens / step_tokens));
    set_key(config, "train.steps", steps, "tokens");
    config.train.tokens = 0;
    known["D"] = steps * step_tokens;
    known["C"] = known["D"] * model::count_flops_per_token(config.model).math;
    known["epochs"] = known["D"] / facts_of_(config).train_tokens;
    known["batch"] = static_cast<double>(config.train.batch);
    known["steps"] = steps;
  }

  static std::string point_name(const Point& point) {
    return point.size->name +
           (point.budget > 0 ? "-C" + short_number(point.budget) : "-D" + short_number(point.tokens)) +
           manner_of(point);
  }

  // Variant and values of [vary].
  static std::string manner_of(const Point& point) {
    std::string name;
    if (point.variant != nullptr) name += "-" + point.variant->name;
    for (const auto& [axis, value] : point.varied) name += fmt::format("-{}{:.4g}", axis, value);
    return name;
  }

  void add(const Point& point, model::RunConfig config, const Variables& known, std::int64_t seed) {
    config.train.seed = static_cast<std::uint64_t>(seed);
    const DataFacts facts = facts_of_(config);
    Cell cell;
    RunSpec& run = cell.spec;
    run.identity = model::identity(config, facts.checksum);
    run.name = fmt::format("{}-s{}", point_name(point), seed);
    run.sweep = spec_.name;
    run.size = point.size->name;
    if (point.variant != nullptr) run.size += "-" + point.variant->name;
    run.config = model::to_json(config);
    run.data_checksum = facts.checksum;
    run.budget = point.budget;
    run.seed = seed;
    run.n = known.at("N");
    run.d = known.at("D");
    run.c = known.at("C");
    cell.config = std::move(config);
    cell.family = fmt::format("{}{}-s{}", point.size->name, manner_of(point), seed);
    cell.epochs = known.at("epochs");
    cell.tokens = point.tokens;
    const auto [other, is_new] = seen_.emplace(run.identity, run.name);
    if (!is_new) throw UsageError(fmt::format("'{}' and '{}' are the same run", other->second, run.name));
    if (!names_.insert(run.name).second)
      throw UsageError(
          fmt::format("two runs are called '{}': their tokens, budgets or values of [vary] differ by less "
                      "than names tell apart (4 digits)",
                      run.name));
    grid_.cells.push_back(std::move(cell));
  }

  const SweepSpec& spec_;
  const FactsOf& facts_of_;
  Grid grid_;
  std::map<std::string, std::string> seen_;  // identity to name
  std::set<std::string> names_;
};

}  // namespace

Grid expand(const SweepSpec& spec, const FactsOf& facts_of) {
  return Expansion(spec, facts_of).run();
}

}  // namespace loglog::sweep
