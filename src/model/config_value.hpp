// A value of a configuration before its key is known: what the readers of TOML, JSON and --set have in common.
#pragma once
#include <string>
#include <string_view>

#include "base/flat_json.hpp"

namespace loglog::model {

struct RunConfig;

using ConfigValue = JsonValue;

std::string value_text(const ConfigValue& value);  // for messages; strings in quotes

// Sets the key called `name`. UsageError that starts with `where` for an unknown key (with the nearest one),
// a wrong type or a value outside its range.
void set_key(RunConfig& config, std::string_view name, const ConfigValue& value, std::string_view where);

// The configuration that lies under the paths that start with `prefix` ("config/"). InputError when it is damaged.
RunConfig from_flat_json(const FlatJson& flat, std::string_view prefix, std::string_view name);

}  // namespace loglog::model
