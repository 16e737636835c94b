// A figure in a file of its own.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "report/plot.hpp"

namespace loglog::cli {

// Before long work, for the value of an option; an empty one is none. UsageError unless it ends in one of `endings` (".svg", ".png" and
// ".pdf" are drawn), IoError when it cannot be written, RefusedError without gnuplot.
void check_picture(const std::string& option, const std::string& path,
                   const std::vector<std::string_view>& endings);

// Draws by the ending of `path`, and says so on standard error.
void write_picture(const std::string& path, const report::Figure& figure);

}  // namespace loglog::cli
