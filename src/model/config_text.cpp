// Configurations as TOML and JSON.
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "model/config.hpp"
#include "model/config_value.hpp"

namespace loglog::model {
namespace {

std::optional<ConfigValue> scalar(const toml::node& node) {
  if (const auto* v = node.as_boolean()) return v->get();
  if (const auto* v = node.as_integer()) return v->get();
  if (const auto* v = node.as_floating_point()) return v->get();
  if (const auto* v = node.as_string()) return v->get();
  return std::nullopt;
}

void read_table(RunConfig& config, const toml::table& table, const std::string& prefix,
                std::string_view name) {
  for (const auto& [key, node] : table) {
    const std::string full =
        prefix.empty() ? std::string(key.str()) : fmt::format("{}.{}", prefix, key.str());
    if (const toml::table* inner = node.as_table(); inner != nullptr && prefix.empty()) {
      read_table(config, *inner, full, name);
      continue;
    }
    const std::string where = fmt::format("{}:{}", name, node.source().begin.line);
    const std::optional<ConfigValue> value = scalar(node);
    if (!value)
      throw UsageError(fmt::format("{}: {} must be a number, a string, true or false", where, full));
    set_key(config, full, *value, where);
  }
}

// A float prints as its shortest decimal, not as the digits of the double nearest to it.
double widen(float value) {
  return std::stod(fmt::format("{}", value));
}

template <class Member>
nlohmann::ordered_json as_json(const Member& member) {
  if constexpr (std::is_same_v<Member, float>)
    return widen(member);
  else
    return member;
}

std::pair<std::string, std::string> split_name(std::string_view name) {
  const std::size_t dot = name.find('.');
  return {std::string(name.substr(0, dot)), std::string(name.substr(dot + 1))};
}

}  // namespace

RunConfig parse_config(std::string_view text, std::string_view name) {
  RunConfig config;
  try {
    read_table(config, toml::parse(text), "", name);
  } catch (const toml::parse_error& error) {
    const auto& begin = error.source().begin;
    throw UsageError(fmt::format("{}:{}:{}: {}", name, begin.line, begin.column, error.description()));
  }
  return config;
}

RunConfig read_config(const Path& path) {
  std::string text;
  try {
    text = read_text(path);
  } catch (const IoError& error) {
    throw InputError(error.what());
  }
  return parse_config(text, path.native());
}

std::string to_json(const RunConfig& config) {
  nlohmann::ordered_json out;
  visit(config, [&](const ConfigKey& key, const auto& member) {
    const auto [table, leaf] = split_name(key.name);
    out[table][leaf] = as_json(member);
  });
  return out.dump();
}

RunConfig from_json(std::string_view json, std::string_view name) {
  return from_flat_json(FlatJson(json, std::string(name)), "", name);
}

RunConfig from_flat_json(const FlatJson& flat, std::string_view prefix, std::string_view name) {
  RunConfig config;
  try {
    for (const auto& [path, value] : flat.values()) {
      if (!path.starts_with(prefix)) continue;
      std::string key = path.substr(prefix.size());
      std::replace(key.begin(), key.end(), '/', '.');
      set_key(config, key, value, name);
    }
  } catch (const UsageError& error) {  // the text was written by a program: a wrong key means a damaged file
    throw InputError(error.what());
  }
  return config;
}

std::string to_toml(const RunConfig& config) {
  std::string out;
  std::string open_table;
  visit(config, [&](const ConfigKey& key, const auto& member) {
    const auto [table, leaf] = split_name(key.name);
    if (table != open_table) out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", table);
    open_table = table;
    std::string choices;
    for (const std::string_view choice : key.choices)
      choices += fmt::format("{}{}", choices.empty() ? ": " : " | ", choice);
    const std::string value =
        as_json(member).dump();  // numbers, booleans and strings are written alike in TOML
    out += fmt::format("{:<28} # {}{}\n", fmt::format("{} = {}", leaf, value), key.help, choices);
  });
  return out;
}

}  // namespace loglog::model
