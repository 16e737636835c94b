// A value of a configuration before its key is known: what the readers of TOML, JSON and --set have in common.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace loglog::model {

struct RunConfig;

using ConfigValue = std::variant<bool, std::int64_t, double, std::string>;

std::string value_text(const ConfigValue& value);  // for messages; strings in quotes

// Sets the key called `name`. UsageError that starts with `where` for an unknown key (with the nearest one),
// a wrong type or a value outside its range.
void set_key(RunConfig& config, std::string_view name, const ConfigValue& value, std::string_view where);

}  // namespace loglog::model
