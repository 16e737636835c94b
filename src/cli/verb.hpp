// A verb of the command line: one file of cli/ each, one line in the list of main.cpp.
#pragma once
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace loglog::cli {

// What main read from the environment; verbs never look there themselves.
struct Environment {
  std::string isa;        // --isa, else LOGLOG_ISA, else "" (the configuration or "auto" decides)
  bool terminal = false;  // stderr is one; nothing is coloured, so NO_COLOR has nothing to switch off
  std::vector<std::string> command_line;  // argv as given, for records and reports
  std::string program;                    // path of this executable, for workers
  std::string temporary;                  // folder for temporary files
};

inline std::string command_text(const Environment& environment) {
  return fmt::format("{}", fmt::join(environment.command_line, " "));
}

// Adds a subcommand to `app`. When the user chose it, `run` is set to what it does; its result is the exit code.
using Action = std::function<int()>;
using AddVerb = void (*)(CLI::App& app, const Environment& environment, Action& run);

}  // namespace loglog::cli
