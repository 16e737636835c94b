// A gnuplot of the test's own: it says that it is there, and otherwise does what the test wants.
#pragma once
#include <string>

#include "base/file.hpp"

namespace loglog::testing {

// Makes FOLDER/bin/gnuplot from lines of shell and returns "PATH=FOLDER/bin:...", which makes a command find it.
inline std::string stand_in_gnuplot(const Path& folder, const std::string& lines) {
  const Path program = folder / "bin" / "gnuplot";
  real_file_system().create_directories(program.parent_path());
  write_atomically(real_file_system(), program,
                   "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\n" + lines + "\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  return "PATH=" + program.parent_path().string() + ":/usr/local/bin:/usr/bin:/bin";
}

}  // namespace loglog::testing
