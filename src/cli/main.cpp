// loglog: one binary, one verb per file. Reads the environment, runs the verb, turns errors into exit codes.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <system_error>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "base/streams.hpp"
#include "cli/talk.hpp"
#include "cli/verb.hpp"
#include "cli/verbs.hpp"
#include "sweep/launcher.hpp"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace {

using loglog::Exit;
using loglog::cli::talk;

int code(Exit exit) {
  return static_cast<int>(exit);
}

std::string environment_variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// An idle OpenMP thread of GCC's runtime spins for milliseconds before it sleeps, which makes a run a hundred
// times slower when another process holds one of its cores. The runtime reads its limit before main, so a
// shorter one needs a fresh start of this program; the user's own choice stands.
void limit_openmp_spinning(char** argv) {
  if (!environment_variable("GOMP_SPINCOUNT").empty() || !environment_variable("OMP_WAIT_POLICY").empty())
    return;
  ::setenv("GOMP_SPINCOUNT", "2000",
           1);                      // about 50 us, ten times what separates two parallel regions of a step
  ::execv("/proc/self/exe", argv);  // comes back only where there is no /proc, and then nothing is lost
}

// What malloc takes of the system for one large matrix goes back when that is freed. Left alone, glibc keeps ever larger ones within its
// heap once such were freed; there they stay resident between blocks that last: beside the weights of a model of 1.3B parameters, 120 MiB.
void give_back_large_blocks() {
#if defined(__GLIBC__)
  ::mallopt(M_MMAP_THRESHOLD, 4 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 8 << 20);
#endif
}

int result_code(int wanted) {
  const int error = loglog::flush_results();
  if (error == 0) return wanted;
  talk("loglog: cannot write to standard output: {}\n", std::strerror(error));
  return code(Exit::failed);
}

// CLI11 says of a word that is no verb only that one is missing.
void check_verbs(const CLI::App& app, int argc, char** argv) {
  const CLI::App* level = &app;
  for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
    if (level->get_require_subcommand_min() == 0) return;
    std::vector<std::string> names;
    const CLI::App* next = nullptr;
    for (const CLI::App* verb : level->get_subcommands({})) {
      names.push_back(verb->get_name());
      if (verb->get_name() == argv[i]) next = verb;
    }
    if (next == nullptr)
      loglog::throw_unknown_name("verb", argv[i], std::vector<std::string_view>(names.begin(), names.end()));
    level = next;
  }
}

// The same of options, where CLI11 only says that a word was not expected, and in an order that is not the user's. Known are those of
// the last verb and of what that falls through to.
[[noreturn]] void refuse_extra(const CLI::App& app) {
  const std::string word = app.remaining(true).front();
  if (!word.starts_with("-")) throw loglog::UsageError(fmt::format("'{}' is not expected here", word));
  const CLI::App* last = &app;
  while (!last->get_subcommands().empty()) last = last->get_subcommands().front();
  std::vector<std::string> names;
  for (const CLI::App* level = last; level != nullptr;
       level = level->get_fallthrough() ? level->get_parent() : nullptr) {
    for (const CLI::Option* option : level->get_options()) {
      if (option->get_group().empty() || option->get_lnames().empty()) continue;
      const std::string name = "--" + option->get_lnames().front();
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  loglog::throw_unknown_name("option", word.substr(0, word.find('=')),
                             std::vector<std::string_view>(names.begin(), names.end()));
}

int run_program(int argc, char** argv) {
  CLI::App app{"loglog: a scaling-law laboratory for the CPU", "loglog"};
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("loglog ") + LOGLOG_VERSION);
  app.footer(
      "Exit codes: 0 done, 1 failed, 2 usage, 3 some runs failed, 4 bad input file, 5 diverged, 6 refused,\n"
      "7 store busy, 75 checkpointed on a signal (run the same command again; train: with --resume).");

  loglog::cli::Environment environment;
  environment.isa = environment_variable("LOGLOG_ISA");
  environment.terminal = ::isatty(STDERR_FILENO) == 1;
  environment.command_line.assign(argv, argv + argc);
  std::error_code ignored;
  environment.program = std::filesystem::read_symlink("/proc/self/exe", ignored).string();
  if (environment.program.empty()) environment.program = argv[0];
  environment.temporary =
      environment_variable("TMPDIR");  // one that is not there is refused where it is used
  if (environment.temporary.empty()) environment.temporary = "/tmp";
  app.add_option("--isa", environment.isa, "instruction-set row: auto, or a name that `loglog doctor` lists");

  int parent = 0;
  app.add_option("--with-parent", parent, "end as TERM asks when this process dies")
      ->group("");  // not for people
  loglog::cli::Action action;
  for (const loglog::cli::AddVerb add : loglog::cli::kVerbs) add(app, environment, action);
  app.fallthrough();
  for (CLI::App* verb : app.get_subcommands({})) verb->fallthrough();
  check_verbs(app, argc, argv);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ExtrasError&) {
    refuse_extra(app);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? code(Exit::done)
                                : code(Exit::usage);  // CLI11's own 100-127 collide with the shell's
  }
  if (parent > 0) loglog::sweep::stop_with_parent(parent);
  return action();
}

}  // namespace

int main(int argc, char** argv) {
  // Every parallel region states its number of threads. LLVM's runtime aborts on an empty or a negative default.
  ::unsetenv("OMP_NUM_THREADS");
  limit_openmp_spinning(argv);
  give_back_large_blocks();
  loglog::settle_streams();
  loglog::install_mapping_guard();
  try {
    return result_code(run_program(argc, argv));
  } catch (const loglog::Error& error) {
    talk("loglog: {}\n", error.what());
    return code(error.exit_code);
  } catch (const loglog::ContractError& error) {
    talk("loglog: internal error, please report it: {}\n", error.what());
  } catch (const std::bad_alloc&) {
    talk("loglog: out of memory\n");
  } catch (const std::system_error& error) {
    if (error.code().value() == EPIPE) return code(Exit::done);  // whoever read the results has seen enough
    if (std::ferror(stdout) != 0)
      talk("loglog: cannot write to standard output: {}\n", error.code().message());
    else
      talk("loglog: {}\n", error.what());
  } catch (const std::exception& error) {
    talk("loglog: {}\n", error.what());
  }
  return code(Exit::failed);
}
