// Reads sweep files.
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.hpp"
#include "model/config_value.hpp"
#include "sweep/grid.hpp"

namespace loglog::sweep {
namespace {

constexpr std::array<std::string_view, 4> kConfigTables = {"model", "data", "train", "eval"};

std::string file_of(const toml::node& node) {
  return node.source().path == nullptr ? std::string() : *node.source().path;
}
std::string where(const toml::node& node) {
  return fmt::format("{}:{}", file_of(node), node.source().begin.line);
}
// A path that a file names starts in that file's folder.
Path beside(const toml::node& node, const std::string& path) {
  return Path(file_of(node)).parent_path() / path;
}

std::string read_file(const Path& path) {
  try {
    return read_text(path);
  } catch (const IoError& error) {
    throw InputError(error.what());
  }
}

// A file that a key names: when it cannot be read, the error says who asked for it.
auto named_by(const toml::node& node, std::string_view key, const auto& read) {
  try {
    return read();
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}: {}", where(node), key, error.what()));
  }
}

toml::table parse(std::string_view text, std::string_view name) {
  try {
    return toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    const auto& begin = error.source().begin;
    throw UsageError(fmt::format("{}:{}:{}: {}", name, begin.line, begin.column, error.description()));
  }
}

// What a file says as a value takes the place of what its base says as a rule, and the other way round.
void drop_other_form(const toml::table& own, toml::table& base) {
  const auto drop = [&](std::string_view table, const toml::table* taken) {
    toml::table* const from = base[table].as_table();
    if (from == nullptr || taken == nullptr) return;
    for (const auto& [key, value] : *taken) from->erase(key.str());
  };
  drop("rules", own["train"].as_table());
  drop("train", own["rules"].as_table());
  if (own.contains("seeds") && base["rules"].is_table()) base["rules"].as_table()->erase("seeds");
  if (own["rules"]["seeds"]) base.erase("seeds");
}

// Keys of `base` that `own` lacks; tables key by key.
void inherit(toml::table& own, toml::table&& base) {
  for (auto&& item : base) {
    const std::string key(item.first.str());
    toml::node& node = item.second;
    toml::node* const mine = own.get(key);
    if (mine == nullptr) {
      node.visit([&](auto& value) { own.insert(key, std::move(value)); });  // a copy would lose its line
    } else if (mine->is_table() && node.is_table()) {
      inherit(*mine->as_table(), std::move(*node.as_table()));
    }
  }
}

// The table with what the files that it extends say beside it; `text` becomes all of them.
void extend(toml::table& root, std::string& text) {
  std::vector<Path> chain;
  while (const toml::node* node = root.get("extends")) {
    const auto name = node->value_exact<std::string>();
    if (!name)
      throw UsageError(fmt::format("{}: extends must be a string, the path of a sweep file", where(*node)));
    const Path path = beside(*node, *name).lexically_normal();
    if (std::find(chain.begin(), chain.end(), path) != chain.end())
      throw UsageError(fmt::format("{}: extends leads back to {}", where(*node), path.native()));
    chain.push_back(path);
    const std::string base_text = named_by(*node, "extends", [&] { return read_file(path); });
    toml::table base = parse(base_text, path.native());
    root.erase("extends");
    drop_other_form(root, base);
    inherit(root, std::move(base));
    text += fmt::format("\n# Extends {}:\n{}", path.native(), base_text);
  }
}

// The table with what one of its arms says in place of its own.
void take_arm(toml::table& root, const std::string& arm, std::string_view name) {
  const toml::node* node = root.get("arm");
  if (!arm.empty()) {
    std::vector<std::string_view> known;
    if (node != nullptr && node->is_table())
      for (const auto& [key, value] : *node->as_table()) known.push_back(key.str());
    if (std::ranges::find(known, arm) == known.end())
      throw_unknown_name(fmt::format("arm of {}", name), arm, known);
    const toml::node* chosen = node->as_table()->get(arm);
    if (!chosen->is_table()) throw UsageError(fmt::format("{}: arm.{} must be a table", where(*chosen), arm));
    toml::table own = *chosen->as_table();
    drop_other_form(own, root);
    inherit(own, std::move(root));
    root = std::move(own);
  }
  root.erase("arm");
}

bool is_file_name(std::string_view name) {
  const auto is_bad = [](char c) { return c == '/' || static_cast<unsigned char>(c) < ' '; };
  return !name.empty() && name[0] != '-' && name[0] != '.' && std::none_of(name.begin(), name.end(), is_bad);
}

// What the keys mean.
class Reader {
 public:
  SweepSpec read(const toml::table& root) {
    check_keys(
        root, "sweep file",
        {"name", "kind", "config", "budgets", "tokens", "tokens_per_parameter", "seeds", "share_trunks",
         "size", "variant", "vary", "rules", "goal", "model", "data", "train", "eval"});
    SweepSpec spec;
    spec.name = string(required(root, "name"), "name");
    if (!is_file_name(spec.name))
      fail(*root.get("name"),
           "name must be a plain word, without / and not beginning with - or . : files are named after it");
    const std::string kind = string(required(root, "kind"), "kind");
    if (kind != "grid" && kind != "isoflop") fail(*root.get("kind"), "kind must be \"grid\" or \"isoflop\"");
    spec.isoflop = kind == "isoflop";
    spec.base = base_config(root);
    read_sizes(root, spec);
    read_variants(root, spec);
    read_amounts(root, spec);
    read_seeds(root, spec);
    if (const toml::node* node = root.get("share_trunks")) {
      if (!node->is_boolean()) fail(*node, "share_trunks must be true or false");
      spec.share_trunks = node->as_boolean()->get();
    }
    read_vary(root, spec);
    read_rules(root, spec);
    read_goal(root, spec);
    return spec;
  }

 private:
  [[noreturn]] void fail(const toml::node& node, std::string_view message) const {
    throw UsageError(fmt::format("{}: {}", where(node), message));
  }
  const toml::node& required(const toml::table& table, std::string_view key) const {
    const toml::node* node = table.get(key);
    if (node == nullptr) fail(table, fmt::format("'{}' is missing", key));
    return *node;
  }
  void check_keys(const toml::table& table, std::string_view what,
                  std::vector<std::string_view> known) const {
    for (const auto& [key, node] : table) {
      if (std::find(known.begin(), known.end(), key.str()) != known.end()) continue;
      throw_unknown_name(fmt::format("key of the {} at {}", what, where(node)), key.str(), known);
    }
  }
  std::string string(const toml::node& node, std::string_view key) const {
    const auto value = node.value_exact<std::string>();
    if (!value) fail(node, fmt::format("{} must be a string", key));
    return *value;
  }
  double number(const toml::node& node, std::string_view key) const {
    const auto value = node.is_number() ? node.value<double>() : std::nullopt;
    if (!value || !(*value > 0 && *value < 1e30))
      fail(node, fmt::format("{} must be a positive number", key));
    return *value;
  }
  std::int64_t whole(const toml::node& node, std::string_view key) const {
    const double value = number(node, key);
    if (value != std::floor(value) || value > 9e15) fail(node, fmt::format("{} must be a whole number", key));
    return static_cast<std::int64_t>(value);
  }
  const toml::array& array(const toml::node& node, std::string_view key) const {
    const toml::array* items = node.as_array();
    if (items == nullptr || items->empty()) fail(node, fmt::format("{} must be a list, not empty", key));
    return *items;
  }
  std::vector<double> numbers(const toml::table& table, std::string_view key) const {
    std::vector<double> values;
    if (const toml::node* node = table.get(key))
      for (const toml::node& item : array(*node, key)) values.push_back(number(item, key));
    return values;
  }

  model::RunConfig base_config(const toml::table& root) const {
    model::RunConfig config;
    if (const toml::node* node = root.get("config")) {
      const Path path = beside(*node, string(*node, "config"));
      config = named_by(*node, "config", [&] { return model::read_config(path); });
    }
    for (const std::string_view table_name : kConfigTables) {
      const toml::node* node = root.get(table_name);
      if (node == nullptr) continue;
      if (!node->is_table()) fail(*node, fmt::format("{} must be a table", table_name));
      for (const auto& [key, value] : *node->as_table()) {
        refuse_second_source(root, fmt::format("{}.{}", table_name, key.str()), value);
        set_key(config, fmt::format("{}.{}", table_name, key.str()), scalar(value), where(value));
      }
    }
    return config;
  }
  // A key that the sweep itself sets would be without effect.
  void refuse_second_source(const toml::table& root, std::string_view key, const toml::node& value) const {
    constexpr std::pair<std::string_view, std::string_view> kOwn[] = {
        {"model.layers", "[[size]]"},
        {"model.width", "[[size]]"},
        {"model.heads", "[[size]]"},
        {"train.steps", "tokens and batch"},
        {"train.tokens", "tokens or budgets"},
        {"train.seed", "seeds"},
        {"train.first_batch", "tokens and batch"},
        {"train.size_rule", "[rules]"}};
    for (const auto& [own, source] : kOwn)
      if (key == own) fail(value, fmt::format("{} follows from the sweep's {}", key, source));
    const toml::table* rules = root["rules"].as_table();
    constexpr std::string_view kTrain = "train.";
    if (rules != nullptr && key.starts_with(kTrain) && rules->contains(key.substr(kTrain.size())))
      fail(value, fmt::format("{} is also a rule at {}: keep one of them", key,
                              where(*rules->get(key.substr(kTrain.size())))));
  }
  model::ConfigValue scalar(const toml::node& node) const {
    if (const auto* v = node.as_boolean()) return v->get();
    if (const auto* v = node.as_integer()) return v->get();
    if (const auto* v = node.as_floating_point()) return v->get();
    if (const auto* v = node.as_string()) return v->get();
    fail(node, "expected a number, a string, true or false");
  }

  void read_sizes(const toml::table& root, SweepSpec& spec) const {
    const toml::node& node = required(root, "size");
    for (const toml::node& item : array(node, "size")) {
      const toml::table* table = item.as_table();
      if (table == nullptr) fail(item, "write sizes as [[size]]");
      check_keys(*table, "[[size]]", {"name", "layers", "width", "heads"});
      spec.sizes.push_back({string(required(*table, "name"), "name"),
                            whole(required(*table, "layers"), "layers"),
                            whole(required(*table, "width"), "width"),
                            whole(required(*table, "heads"), "heads"), where(*table)});
      model::RunConfig limits;  // whether a model may have this size
      for (const char* key : {"layers", "width", "heads"})
        set_key(limits, fmt::format("model.{}", key), scalar(*table->get(key)), where(*table->get(key)));
      for (std::size_t i = 0; i + 1 < spec.sizes.size(); ++i)
        if (spec.sizes[i].name == spec.sizes.back().name)
          fail(item, fmt::format("size '{}' is there twice", spec.sizes[i].name));
    }
  }

  void read_variants(const toml::table& root, SweepSpec& spec) const {
    const toml::node* node = root.get("variant");
    if (node == nullptr) return;
    for (const toml::node& item : array(*node, "variant")) {
      const toml::table* table = item.as_table();
      if (table == nullptr) fail(item, "write variants as [[variant]]");
      VariantSpec variant{string(required(*table, "name"), "name"), {}};
      if (!is_file_name(variant.name)) fail(item, "the name of a variant must be a plain word");
      for (const VariantSpec& other : spec.variants)
        if (other.name == variant.name) fail(item, fmt::format("variant '{}' is there twice", variant.name));
      std::vector<std::string_view> known(kConfigTables.begin(), kConfigTables.end());
      known.push_back("name");
      check_keys(*table, "[[variant]]", known);
      for (const std::string_view config_table : kConfigTables) {
        const toml::node* changes = table->get(config_table);
        if (changes == nullptr) continue;
        if (!changes->is_table()) fail(*changes, fmt::format("{} must be a table", config_table));
        for (const auto& [key, value] : *changes->as_table()) {
          const std::string name = fmt::format("{}.{}", config_table, key.str());
          refuse_second_source(root, name, value);
          if (name == "data.path")
            fail(value, "a variant has the text of its sweep; another text is another sweep");
          model::RunConfig trial = spec.base;
          set_key(trial, name, scalar(value), where(value));
          variant.changes.push_back({name, scalar(value), where(value)});
        }
      }
      spec.variants.push_back(std::move(variant));
    }
  }

  void read_amounts(const toml::table& root, SweepSpec& spec) const {
    spec.tokens = numbers(root, "tokens");
    spec.tokens_per_parameter = numbers(root, "tokens_per_parameter");
    const bool has_tokens = !spec.tokens.empty() || !spec.tokens_per_parameter.empty();
    const toml::node* budgets = root.get("budgets");
    const bool to_be_designed = budgets == nullptr && !has_tokens && root.contains("goal");
    if (spec.isoflop && (budgets == nullptr || has_tokens) && !to_be_designed)
      fail(root, "kind \"isoflop\" needs budgets, and no tokens: they follow from budget and size");
    if (!spec.isoflop && (budgets != nullptr || !has_tokens))
      fail(root, "kind \"grid\" needs tokens or tokens_per_parameter, and no budgets");
    if (budgets == nullptr) return;
    for (const toml::node& item : array(*budgets, "budgets")) spec.budgets.push_back(budget(item, spec));
  }
  BudgetSpec budget(const toml::node& item, const SweepSpec& spec) const {
    const toml::table* table = item.as_table();
    if (table == nullptr) return {number(item, "budgets"), {}};
    check_keys(*table, "budget", {"flops", "sizes"});
    BudgetSpec result{number(required(*table, "flops"), "flops"), {}};
    std::vector<std::string_view> known;
    for (const SizeSpec& size : spec.sizes) known.push_back(size.name);
    for (const toml::node& size : array(required(*table, "sizes"), "sizes")) {
      result.sizes.push_back(string(size, "sizes"));
      if (std::find(known.begin(), known.end(), result.sizes.back()) == known.end())
        throw_unknown_name(fmt::format("size at {}", where(size)), result.sizes.back(), known);
    }
    return result;
  }

  void read_seeds(const toml::table& root, SweepSpec& spec) const {
    spec.seeds = {1};
    const toml::node* node = root.get("seeds");
    if (node == nullptr) return;
    if (const toml::node* rule = root["rules"]["seeds"].node())
      fail(*node, fmt::format("seeds is also a rule at {}: keep one of them", where(*rule)));
    spec.seeds.clear();
    for (const toml::node& item : array(*node, "seeds")) spec.seeds.push_back(whole(item, "seeds"));
  }

  void read_vary(const toml::table& root, SweepSpec& spec) const {
    const toml::node* node = root.get("vary");
    if (node == nullptr) return;
    if (!node->is_table()) fail(*node, "[vary] must be a table of lists");
    for (const auto& [key, value] : *node->as_table())
      spec.vary.emplace_back(key.str(), numbers(*node->as_table(), key.str()));
  }

  std::map<std::string, double> constants(const toml::table& table, std::string_view key) const {
    std::map<std::string, double> values;
    const toml::node* node = table.get(key);
    if (node == nullptr) return values;
    if (!node->is_table()) fail(*node, fmt::format("{} must be a table of numbers", key));
    for (const auto& [name, value] : *node->as_table())
      values[std::string(name.str())] = number(value, name.str());
    return values;
  }

  void read_goal(const toml::table& root, SweepSpec& spec) const {
    const toml::node* node = root.get("goal");
    if (node == nullptr) return;
    const toml::table* table = node->as_table();
    if (table == nullptr) fail(*node, "[goal] must be a table");
    check_keys(*table, "[goal]", {"quantity", "half_width", "law", "at", "prior", "noise"});
    Goal goal;
    goal.quantity = string(required(*table, "quantity"), "quantity");
    goal.half_width = number(required(*table, "half_width"), "half_width");
    if (const toml::node* law = table->get("law")) goal.law = string(*law, "law");
    goal.at = constants(*table, "at");
    goal.prior = constants(*table, "prior");
    if (const toml::node* noise = table->get("noise"))
      goal.noise = noise->is_number() ? fmt::format("{}", number(*noise, "noise")) : string(*noise, "noise");
    goal.place = where(*node);
    spec.goal = std::move(goal);
  }

  void read_rules(const toml::table& root, SweepSpec& spec) const {
    const toml::node* node = root.get("rules");
    if (node == nullptr) return;
    const toml::table* table = node->as_table();
    if (table == nullptr) fail(*node, "[rules] must be a table");
    // In the order in which they are evaluated.
    const std::vector<std::string_view> known = {"batch",   "lr",          "min_lr", "warmup",
                                                 "horizon", "decay_share", "beta2",  "weight_decay",
                                                 "clip",    "seeds",       "keep"};
    check_keys(*table, "[rules]", known);
    for (const std::string_view key : known) {
      const toml::node* rule = table->get(key);
      if (rule == nullptr) continue;
      const std::string text = rule->is_number() ? fmt::format("{}", *rule->value<double>())
                                                 : string(*rule, fmt::format("rules.{}", key));
      const std::string place = fmt::format("{}: rules.{}", where(*rule), key);
      spec.rules.push_back({std::string(key), Expression(text, place), place});
    }
  }
};

}  // namespace

SweepSpec parse_sweep(std::string_view text, std::string_view name, const std::string& arm) {
  toml::table root = parse(text, name);
  std::string full_text(text);
  extend(root, full_text);
  take_arm(root, arm, name);
  SweepSpec spec = Reader().read(root);
  if (!arm.empty()) spec.name += "-" + arm, full_text += fmt::format("\n# Arm: {}\n", arm);
  spec.text = std::move(full_text);
  return spec;
}

SweepSpec read_sweep(const Path& path, const std::string& arm) {
  return parse_sweep(read_file(path), path.native(), arm);
}

}  // namespace loglog::sweep
