// A folder of a test's own, in which the program runs.
#pragma once
#include <string>

#include "support/program.hpp"
#include "support/temporary_folder.hpp"

namespace loglog::testing {

struct ProgramFolder {
  TemporaryFolder folder;
  std::string at(const std::string& name) const { return (folder.path() / name).string(); }
  // `before` as run_program() takes it.
  Outcome run(const std::string& arguments, const std::string& before = "") const {
    return run_program(folder.path(), arguments, before);
  }
};

}  // namespace loglog::testing
