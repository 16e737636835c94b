#include "base/child_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "base/error.hpp"

extern char** environ;

namespace loglog {
namespace {

// Descriptors of ours are moved up to here before a child's are set, so that none is overwritten while it is still wanted.
constexpr int kOutOfTheWay = 64;

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> list;
  for (std::string& word : words) list.push_back(word.data());
  list.push_back(nullptr);
  return list;
}

std::vector<std::string> environment_with(std::vector<std::string> variables) {
  const std::size_t own = variables.size();
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::string_view name = text.substr(0, text.find('=') + 1);
    const bool replaced = std::any_of(variables.begin(), variables.begin() + static_cast<std::ptrdiff_t>(own),
                                      [&](const std::string& other) { return other.starts_with(name); });
    if (!replaced) variables.emplace_back(text);
  }
  return variables;
}

}  // namespace

ChildProcess::ChildProcess(const ChildCommand& command) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  std::vector<int> moved;
  for (const auto& [ours, theirs] : command.descriptors) {
    moved.push_back(::fcntl(ours, F_DUPFD_CLOEXEC, kOutOfTheWay));
    ::posix_spawn_file_actions_adddup2(&actions, moved.back(), theirs);
  }
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::vector<std::string> words = command.words, variables = environment_with(command.environment);
  const std::vector<char*> argv = pointers(words), envp = pointers(variables);
  error_ = ::posix_spawnp(&group_, argv[0], &actions, &attributes, argv.data(), envp.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  for (const int descriptor : moved) ::close(descriptor);
}

ChildProcess::~ChildProcess() {
  kill();
}

bool ChildProcess::ended(int options) {
  if (!started() || status_) return true;
  int status = 0;
  pid_t found = 0;
  do {
    found = ::waitpid(group_, &status, options);
  } while (found < 0 && errno == EINTR);
  if (found == 0) return false;
  status_ = found < 0 ? 0 : status;
  return true;
}

int ChildProcess::wait() {
  ended(0);
  return status_.value_or(0);
}

std::optional<int> ChildProcess::wait_for(double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  for (auto pause = std::chrono::milliseconds(1); !ended(WNOHANG);
       pause = std::min(2 * pause, std::chrono::milliseconds(50))) {
    if (Clock::now() >= end) return {};
    std::this_thread::sleep_for(pause);
  }
  return status_.value_or(0);
}

void ChildProcess::kill() {
  if (ended(WNOHANG)) return;
  ::kill(-group_, SIGKILL);
  wait();
}

WorkFolder::WorkFolder(const Path& parent, const std::string& name) {
  std::string path = parent / fmt::format("loglog-{}-XXXXXX", name);
  if (::mkdtemp(path.data()) == nullptr) throw IoError("cannot create folder", path, errno);
  path_ = path;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return;  // then only the destructor removes it
  // Reads which group to kill until the pipe ends, which is when we do.
  watcher_.emplace(
      ChildCommand{.words = {"/bin/sh", "-c",
                             "trap '' INT TERM HUP; while read -r group; do last=$group; done; "
                             "[ \"${last:-0}\" -gt 0 ] && kill -s KILL -- \"-$last\"; rm -rf -- \"$0\"",
                             std::filesystem::absolute(path_).string()},
                   .descriptors = {{ends[0], STDIN_FILENO}}});
  ::close(ends[0]);
  to_watcher_ = ends[1];
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  guard(nullptr);
  if (to_watcher_ >= 0) ::close(to_watcher_);
  if (watcher_) watcher_->wait();
}

void WorkFolder::guard(const ChildProcess* child) {
  const std::string line = fmt::format("{}\n", child == nullptr ? 0 : child->group());
  if (to_watcher_ >= 0 && ::write(to_watcher_, line.data(), line.size()) < 0) {
    // The watcher is gone: then only the destructor cleans up.
  }
}

}  // namespace loglog
