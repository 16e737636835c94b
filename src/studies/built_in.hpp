// The files of configs/studies, as the program was built with them.
#pragma once
#include <string_view>
#include <vector>

namespace loglog::studies {

// The text of configs/studies/NAME.toml. UsageError with the nearest name when there is none.
std::string_view built_in_config(std::string_view name);

// The names of what a study trains: STUDY-EFFORT or STUDY-SOMETHING-EFFORT, ascending.
std::vector<std::string_view> built_in_sweeps(std::string_view study, std::string_view effort);

}  // namespace loglog::studies
