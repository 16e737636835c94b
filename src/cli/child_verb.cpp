#include "cli/child_verb.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "base/child_process.hpp"
#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "cli/stop_signals.hpp"

namespace loglog::cli {

bool run_child_verb(const Environment& environment, std::vector<std::string> words) {
  const std::string shown = "loglog " + shell_words(words);
  std::vector<std::string> program = {environment.program, "--with-parent", std::to_string(::getpid())};
  if (!environment.isa.empty()) program.insert(program.end(), {"--isa", environment.isa});
  words.insert(words.begin(), program.begin(), program.end());
  ChildProcess child(
      {.words = std::move(words), .descriptors = {{.ours = STDERR_FILENO, .theirs = STDOUT_FILENO}}});
  if (!child.started()) throw IoError("cannot start", environment.program, child.error());
  std::optional<int> status;
  while (!(status = child.wait_for(0.1))) {
    if (!stop_requested()) continue;
    ::kill(-child.group(), SIGTERM);  // it writes its checkpoints
    status = child.wait();
    break;
  }
  const Exit code = WIFEXITED(*status) ? static_cast<Exit>(WEXITSTATUS(*status)) : Exit::failed;
  if (stop_requested() || code == Exit::checkpointed) return false;
  if (code == Exit::done) return true;
  throw Error(
      code,
      fmt::format("{} failed, as it says above; once that is mended the same command goes on from there",
                  shown));
}

}  // namespace loglog::cli
