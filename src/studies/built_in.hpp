// The files of configs/studies, as the program was built with them.
#pragma once
#include <string_view>

namespace loglog::studies {

// The text of configs/studies/NAME.toml. UsageError with the nearest name when there is none.
std::string_view built_in_config(std::string_view name);

}  // namespace loglog::studies
