// A verb of this program as a child process, for commands that are made of others.
#pragma once
#include <string>
#include <vector>

#include "cli/verb.hpp"

namespace loglog::cli {

// Its results go to standard error. A stop signal is passed on, and the child ends in its own way; so it does when we are killed. False when
// it was stopped; Error with its exit code when it failed.
bool run_child_verb(const Environment& environment, std::vector<std::string> words);

}  // namespace loglog::cli
