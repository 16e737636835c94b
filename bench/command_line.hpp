// The command line of a benchmark program.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>

#include "base/error.hpp"

namespace loglog::bench {

// The exit code of `run` once the command line is read; for --help 0, and what is wrong with it is said and Exit::usage: CLI11's own
// 100-127 collide with the shell's.
inline int parse_and_run(CLI::App& app, int argc, char** argv, const std::function<int()>& run) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return static_cast<int>(app.exit(error) == 0 ? Exit::done : Exit::usage);
  }
  return run();
}

}  // namespace loglog::bench
