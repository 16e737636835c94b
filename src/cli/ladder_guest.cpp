#include "cli/ladder_guest.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iostream>
#include <sstream>

#include "base/error.hpp"

extern char** environ;

namespace loglog::cli {
namespace {

using kernels::Index;
using kernels::ladder::Ladder;
using kernels::ladder::LadderKind;

struct IsaFlags {
  std::string_view isa, flags;
};
constexpr IsaFlags kIsaFlags[] = {
#include "ladder_isa_flags.inc"
};

constexpr std::string_view kHeader =
#include "loglog_rung_text.inc"
    ;

std::vector<std::string> flags_of(std::string_view isa) {
  std::vector<std::string> flags;
  for (const IsaFlags& row : kIsaFlags) {
    if (row.isa != isa) continue;
    std::istringstream words{std::string(row.flags)};
    for (std::string word; words >> word;) flags.push_back(word);
  }
  return flags;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> list;
  for (std::string& word : words) list.push_back(word.data());
  list.push_back(nullptr);
  return list;
}

// What a child should find as its standard streams; -1 leaves ours. Returns its number, or -1 when it cannot be started.
int spawn(std::vector<std::string> command, std::vector<std::string> environment, int in, int out, int err) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  if (in >= 0) ::posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  if (out >= 0) ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  if (err >= 0) ::posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::string_view name = text.substr(0, text.find('=') + 1);
    const bool replaced = std::any_of(environment.begin(), environment.end(),
                                      [&](const std::string& own) { return own.starts_with(name); });
    if (!replaced) environment.emplace_back(text);
  }
  pid_t child = -1;
  const std::vector<char*> argv = pointers(command), envp = pointers(environment);
  const int error = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), envp.data());
  ::posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? child : -1;
}

int wait_for(int child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

std::string_view guest_header() {
  return kHeader;
}

GuestBuild::Folder::Folder(const Path& parent) {
  std::string name = parent / "loglog-rung-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw IoError("cannot create folder", name, errno);
  path = name;
}

GuestBuild::Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

GuestBuild::GuestBuild(const GuestOptions& options)
    : folder_(options.temporary), library_(folder_.path / "rung.so") {
  read_input(options.source);  // one that is not there is told from one that does not compile
  const Path log = folder_.path / "log";
  write_atomically(real_file_system(), folder_.path / "loglog_rung.hpp", kHeader);
  // As the rungs beside it: kernels/ladder/CMakeLists.txt.
  std::vector<std::string> command = {options.compiler,   "-std=c++20", "-O3",   "-falign-functions=64",
                                      "-falign-loops=64", "-fopenmp",   "-fPIC", "-shared"};
  for (const std::string& flag : flags_of(options.isa)) command.push_back(flag);
  for (const std::string& word :
       {"-I" + folder_.path.string(), options.source.string(), std::string("-o"), library_.string()})
    command.push_back(word);
  const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (output < 0) throw IoError("cannot write", log.string(), errno);
  const int child = spawn(command, {}, -1, output, output);
  ::close(output);
  const int status = child < 0 ? -1 : wait_for(child);
  if (child < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 127)) {
    throw RefusedError(
        fmt::format("the compiler '{}' cannot be started: install one (Debian: apt-get install "
                    "g++), or name yours with --compiler",
                    options.compiler));
  }
  if (status != 0) {
    throw InputError(fmt::format("{} does not compile ({}):\n{}", options.source.string(),
                                 fmt::join(command, " "), read_text(log)));
  }
}

Guest::Guest(const GuestBuild& build, const GuestOptions& options, const LadderKind& kind,
             const std::vector<Index>& size)
    : options_(options) {
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0) throw IoError("cannot make a pipe for", options.source.string(), errno);
  if (::pipe2(out, O_CLOEXEC) != 0) throw IoError("cannot make a pipe for", options.source.string(), errno);
  child_ = spawn({options.program, "--isa", options.isa, "ladder", std::string(kind.name), "--host",
                  build.library().string(), "--size", fmt::format("{}", fmt::join(size, ",")), "--threads",
                  std::to_string(options.threads)},
                 {fmt::format("OMP_NUM_THREADS={}", options.threads)}, in[0], out[1], -1);
  ::close(in[0]);
  ::close(out[1]);
  to_ = in[1];
  from_ = out[0];
  if (child_ < 0) throw Error(Exit::failed, fmt::format("cannot start {}", options.program));
  const std::string first = answer();
  if (first == "ready") return;
  fail(first);
}

Guest::~Guest() {
  end();
}

// Closes our ends, which tells the child to go, and sees it out. Its status, or -1 when it was gone before.
int Guest::end() {
  if (to_ >= 0) ::close(to_);
  if (from_ >= 0) ::close(from_);
  to_ = from_ = -1;
  if (child_ < 0) return -1;
  const int status = wait_for(child_);
  child_ = -1;
  return status;
}

void Guest::fail(const std::string& what) {
  throw InputError(fmt::format("{}: {}", options_.source.string(), what));
}

void Guest::request(const std::string& line) {
  const std::string text = line + "\n";
  // A child that is gone shows in its answer, which is then missing.
  if (::write(to_, text.data(), text.size()) < 0 && errno != EPIPE)
    throw IoError("cannot talk to the process of", options_.source.string(), errno);
}

std::string Guest::answer() {
  while (buffer_.find('\n') == std::string::npos) {
    pollfd wait = {from_, POLLIN, 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(options_.time_limit * 1000));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) {
      ::kill(child_, SIGKILL);
      end();
      throw Error(Exit::failed, fmt::format("{}: no end after {:g} s {} (--time-limit SECONDS gives it more)",
                                            options_.source.string(), options_.time_limit, doing_));
    }
    char bytes[512];
    const ssize_t count = ::read(from_, bytes, sizeof bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count > 0) {
      buffer_.append(bytes, static_cast<std::size_t>(count));
      continue;
    }
    const int status = end();
    const std::string how =
        WIFSIGNALED(status)
            ? fmt::format("crashed ({}{})", ::strsignal(WTERMSIG(status)),
                          WTERMSIG(status) == SIGSEGV
                              ? ": it touches what is outside its operands, or writes an input"
                              : "")
            : fmt::format("ended the process with code {}", WEXITSTATUS(status));
    throw Error(Exit::failed, fmt::format("{}: {} {}", options_.source.string(), how, doing_));
  }
  const std::size_t end_of_line = buffer_.find('\n');
  std::string line = buffer_.substr(0, end_of_line);
  buffer_.erase(0, end_of_line + 1);
  return line;
}

std::string Guest::check(Index parts) {
  request(fmt::format("check {}", parts));
  for (std::string line = answer();; line = answer()) {
    if (line == "right") return {};
    if (line.starts_with("wrong ")) return line.substr(6);
    doing_ = "on " + line.substr(line.find(' ') + 1);
  }
}

double Guest::seconds(Index parts, int calls) {
  doing_ = fmt::format("on {} parts of the timed size", parts);
  request(fmt::format("run {} {}", parts, calls));
  double elapsed = 1, of_processors = 1;
  std::istringstream(answer().substr(5)) >> elapsed >> of_processors;
  threads_ = std::clamp(static_cast<int>(std::lround(of_processors / elapsed)), 1, options_.threads);
  return threads_ == 1 ? of_processors : elapsed;  // as rungs of the ladder are timed
}

int host_guest(Ladder& ladder, const std::string& symbol, const Path& library) {
  // What the rung itself prints goes to standard error.
  std::FILE* const out = ::fdopen(::dup(STDOUT_FILENO), "w");
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  const auto say = [&](const std::string& line) {
    fmt::print(out, "{}\n", line);
    std::fflush(out);
  };
  void* const loaded = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (loaded == nullptr) {
    say(fmt::format("cannot be loaded: {}", ::dlerror()));
    return 0;
  }
  void* const function = ::dlsym(loaded, symbol.c_str());
  if (function == nullptr) {
    say(fmt::format("defines no function '{}'; include \"loglog_rung.hpp\" and define it as declared there",
                    symbol));
    return 0;
  }
  ladder.add_guest({.number = kernels::ladder::kGuest, .name = "guest", .idea = "", .gain = 0, .why = ""},
                   reinterpret_cast<kernels::ladder::Symbol>(function));
  const int rung = static_cast<int>(ladder.rungs().size()) - 1;
  say("ready");
  for (std::string verb; std::cin >> verb;) {
    Index parts = 0;
    int calls = 0;
    std::cin >> parts;
    if (verb == "check") {
      const std::string wrong =
          ladder.check(rung, parts, [&](const std::string& what) { say("begin " + what); });
      say(wrong.empty() ? "right" : "wrong " + wrong);
      continue;
    }
    std::cin >> calls;
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t busy = std::clock();
    for (int i = 0; i < calls; ++i) ladder.run(rung, parts);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    say(fmt::format("took {:.9g} {:.9g}", elapsed.count(),
                    static_cast<double>(std::clock() - busy) / CLOCKS_PER_SEC));
  }
  return 0;
}

}  // namespace loglog::cli
