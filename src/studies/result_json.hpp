// A result as a file, from which its page can be made again.
#pragma once
#include <string>
#include <string_view>

#include "studies/study.hpp"

namespace loglog::studies {

// Samples become the ends of 95% intervals (what is shown) and of 99% ones.
std::string to_json(const Result& result);
// InputError naming file and place when it is none of these. Names, which become those of files, are words of a-z, 0-9 and '-'.
Result from_json(std::string_view json, const std::string& file);

}  // namespace loglog::studies
