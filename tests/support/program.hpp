// Runs the program itself, as a shell would. For tests whose target defines LOGLOG_PROGRAM (loglog_program_test).
#pragma once
#include <sys/wait.h>

#include <cstdlib>
#include <string>

#include "base/file.hpp"

#ifndef LOGLOG_PROGRAM
#define LOGLOG_PROGRAM "LOGLOG_PROGRAM_is_not_defined"
#endif

namespace loglog::testing {

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

// `before` is what stands in front of the program in the shell's line. Leaves nothing in `folder`.
inline Outcome run_program(const Path& folder, const std::string& arguments, const std::string& before = "") {
  const Path out = folder / "stdout";
  const Path err = folder / "stderr";
  const std::string command =
      before + " " LOGLOG_PROGRAM " " + arguments + " >" + out.string() + " 2>" + err.string();
  const int status = std::system(command.c_str());
  Outcome outcome{WEXITSTATUS(status), read_text(out), read_text(err)};
  std::filesystem::remove(out);
  std::filesystem::remove(err);
  return outcome;
}

// The same on a disk that is full: every write to a file fails. `out` holds both streams.
inline Outcome run_on_full_disk(const Path& folder, const std::string& arguments) {
  const Path out = folder / "streams";
  const std::string command = "( trap '' XFSZ; ulimit -f 0; " LOGLOG_PROGRAM " " + arguments +
                              "; echo exit $? ) 2>&1 | cat >" + out.string();
  if (std::system(command.c_str()) != 0) return {-1, "", ""};
  Outcome outcome{-1, read_text(out), ""};
  std::filesystem::remove(out);
  const std::size_t at = outcome.out.rfind("exit ");
  if (at != std::string::npos) outcome.code = std::atoi(outcome.out.c_str() + at + 5);
  return outcome;
}

}  // namespace loglog::testing
