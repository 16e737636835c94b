#include "studies/manifest.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "studies/built_in.hpp"

namespace loglog::studies {
namespace {

// Every number by "table.key".
std::map<std::string, double> parse(std::string_view text, const std::string& name) {
  std::map<std::string, double> values;
  try {
    const toml::table root = toml::parse(text, name);
    for (const auto& [table_name, node] : root) {
      const toml::table* table = node.as_table();
      if (table == nullptr)
        throw UsageError(
            fmt::format("{}:{}: {} stands in no table", name, node.source().begin.line, table_name.str()));
      for (const auto& [key, value] : *table) {
        const auto number = value.value<double>();
        if (!number || !std::isfinite(*number))
          throw UsageError(fmt::format("{}:{}: {}.{} must be a finite number", name,
                                       value.source().begin.line, table_name.str(), key.str()));
        values.emplace(fmt::format("{}.{}", table_name.str(), key.str()), *number);
      }
    }
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("{}:{}: {}", name, error.source().begin.line, error.description()));
  }
  return values;
}

bool fits(double value, const Allowed& a) {
  int exponent = 0;
  if (a.kind == Allowed::Kind::whole && value != std::floor(value)) return false;
  if (a.kind == Allowed::Kind::power_of_two && std::frexp(value, &exponent) != 0.5) return false;
  return value >= a.low && value <= a.high;
}

std::string in_words(const Allowed& a) {
  constexpr std::string_view kKinds[] = {"a number", "a whole number", "a power of two"};
  return fmt::format("{} {}", kKinds[static_cast<int>(a.kind)],
                     std::isinf(a.high) ? fmt::format("of at least {}", a.low)
                                        : fmt::format("from {} to {}", a.low, a.high));
}

}  // namespace

Manifest Manifest::of_study(std::string_view study) {
  Manifest m;
  m.name_ = fmt::format("configs/studies/{}.toml", study);
  m.values_ = parse(built_in_config(study), m.name_);
  m.study_ = study;
  return m;
}

Manifest Manifest::read(std::string_view study, const Path& path) {
  const Manifest official = of_study(study);
  Manifest m;
  m.name_ = path.native();
  m.values_ = parse(read_model_file(path), m.name_);  // never waits for a pipe
  for (const auto& [key, value] : official.values_)
    if (!m.values_.contains(key)) throw UsageError(fmt::format("'{}' lacks {}", path.native(), key));
  for (const auto& [key, value] : m.values_)
    if (!official.values_.contains(key))
      throw UsageError(fmt::format("'{}': study {} knows no {}", path.native(), study, key));
  m.study_ = study;
  m.exploratory_ = m.values_ != official.values_;
  return m;
}

// In the order of the list, so that bounds which other keys set are themselves within theirs.
void Manifest::require(const std::vector<Allowed>& allowed) const {
  const auto key_of = [](std::string_view name) { return name.substr(name.find('.') + 1); };
  for (const auto& [name, value] : values_)
    LOGLOG_CHECK(std::ranges::count(allowed, key_of(name), &Allowed::key) == 1, "what may {} be?", name);
  for (const Allowed& a : allowed)
    for (const auto& [name, value] : values_)
      if (key_of(name) == a.key && !fits(value, a))
        throw UsageError(fmt::format("'{}': {} = {} must be {}", name_, name, value, in_words(a)));
}

// Of what the thresholds say, not of comments and order.
std::string Manifest::hash(std::string_view effort) const {
  std::string text;
  for (const auto& [key, value] : values_) text += fmt::format("{} = {}\n", key, value);
  for (const std::string_view sweep : built_in_sweeps(study_, effort))
    text += fmt::format("{}\n{}", sweep, built_in_config(sweep));
  return hash_hex(std::as_bytes(std::span(text)));
}

double Manifest::operator()(const std::string& key) const {
  if (const auto found = values_.find(effort_ + "." + key); found != values_.end()) return found->second;
  const auto found = values_.find("thresholds." + key);
  LOGLOG_CHECK(found != values_.end(), "the manifest has no {}", key);
  return found->second;
}

}  // namespace loglog::studies
