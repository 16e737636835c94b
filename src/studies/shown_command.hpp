// Command lines on pages.
#pragma once
#include <string>
#include <vector>

namespace loglog::studies {

// The words of a command line, as one would type them elsewhere: of the program and of absolute paths the last part alone, since nobody else
// has these folders; in quotes what a shell would take apart.
std::string shown_command(const std::vector<std::string>& words);

}  // namespace loglog::studies
