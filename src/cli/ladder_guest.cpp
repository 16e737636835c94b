#include "cli/ladder_guest.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "base/error.hpp"
#include "cli/clock.hpp"

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

// Where the child finds requests and where it answers.
constexpr int kRequests = 3, kAnswers = 4;
// Seconds that a rung may take to be loaded, beside its time limit, and to end.
constexpr double kStart = 10, kEnd = 2;

void require_regular_file(const Path& source) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(source, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    throw InputError(fmt::format("{}: not a regular file; --with takes a C++ source file", source.string()));
}

// Why the compiler made nothing, where that is not the source's fault.
void blame_system(const GuestOptions& options, const Path& folder, int status) {
  constexpr std::uintmax_t kRoom = 1 << 20;
  if (WIFSIGNALED(status))
    throw Error(Exit::failed, fmt::format("the compiler '{}' was ended by a signal: {}", options.compiler,
                                          ::strsignal(WTERMSIG(status))));
  std::error_code ignored;
  const auto space = std::filesystem::space(folder, ignored);
  if (!ignored && space.available < kRoom)
    throw IoError("no room to compile in (TMPDIR names another folder)", folder.string(), ENOSPC);
}

}  // namespace

std::string_view guest_header() {
  return kHeader;
}

GuestBuild::GuestBuild(const GuestOptions& options)
    : folder_(options.temporary, "rung"), library_(folder_.path() / "rung.so") {
  require_regular_file(options.source);
  read_input(options.source);  // one that is not there is told from one that does not compile
  const Path log = folder_.path() / "log";
  write_atomically(real_file_system(), folder_.path() / "loglog_rung.hpp", kHeader);
  // As the rungs beside it: kernels/ladder/CMakeLists.txt.
  std::vector<std::string> words = {options.compiler,   "-std=c++20", "-O3",   "-falign-functions=64",
                                    "-falign-loops=64", "-fopenmp",   "-fPIC", "-shared"};
  for (const std::string& flag : flags_of(options.isa)) words.push_back(flag);
  // Whatever its name, the source is C++ and no option.
  for (const std::string& word :
       {"-I" + folder_.path().string(), std::string("-x"), std::string("c++"),
        std::filesystem::absolute(options.source).string(), std::string("-o"), library_.string()})
    words.push_back(word);
  const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (output < 0) throw IoError("cannot write", log.string(), errno);
  ChildProcess compiler({.words = words,
                         .environment = {"TMPDIR=" + folder_.path().string()},
                         .descriptors = {{output, STDOUT_FILENO}, {output, STDERR_FILENO}}});
  ::close(output);
  if (compiler.started()) folder_.guard(&compiler);
  const int status = compiler.wait();
  folder_.guard(nullptr);
  if (!compiler.started() || (WIFEXITED(status) && WEXITSTATUS(status) == 127)) {
    throw RefusedError(
        fmt::format("the compiler '{}' cannot be started: install one (Debian: apt-get install "
                    "g++), or name yours with --compiler",
                    options.compiler));
  }
  if (status != 0) {
    blame_system(options, folder_.path(), status);
    throw InputError(fmt::format("{} does not compile ({}):\n{}", options.source.string(),
                                 fmt::join(words, " "), read_text(log)));
  }
  if (!path_exists(library_))
    throw RefusedError(fmt::format("the compiler '{}' made no {}: is it one? --compiler names another",
                                   options.compiler, library_.filename().string()));
}

Guest::Guest(GuestBuild& build, const GuestOptions& options, const LadderKind& kind,
             const std::vector<Index>& size)
    : options_(options), folder_(build.folder()) {
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0) throw IoError("cannot make a pipe for", options.source.string(), errno);
  if (::pipe2(out, O_CLOEXEC) != 0) throw IoError("cannot make a pipe for", options.source.string(), errno);
  child_.emplace(ChildCommand{
      .words = {options.program, "--isa", options.isa, "ladder", std::string(kind.name), "--host",
                build.library().string(), "--size", fmt::format("{}", fmt::join(size, ",")), "--threads",
                std::to_string(options.threads)},
      .environment = {fmt::format("OMP_NUM_THREADS={}", options.threads)},
      .descriptors = {{in[0], kRequests}, {out[1], kAnswers}, {STDERR_FILENO, STDOUT_FILENO}}});
  ::close(in[0]);
  ::close(out[1]);
  to_ = in[1];
  from_ = out[0];
  if (!child_->started()) throw IoError("cannot start", options.program, child_->error());
  folder_.guard(&*child_);
  const std::string first = answer(options.time_limit + kStart);
  if (first == "ready") return;
  if (first.starts_with("cannot be loaded") && first.find("undefined symbol") == first.npos)
    throw Error(Exit::failed, fmt::format("{}: {} (TMPDIR may name a folder from which no program may run)",
                                          options_.source.string(), first));
  throw InputError(fmt::format("{}: {}", options_.source.string(), first));
}

Guest::~Guest() {
  end();
}

// Closes our ends, which tells the child to go, and sees it out, by force where it stays.
void Guest::end() {
  if (to_ >= 0) ::close(to_);
  if (from_ >= 0) ::close(from_);
  to_ = from_ = -1;
  if (child_ && !child_->wait_for(kEnd)) child_->kill();
  folder_.guard(nullptr);
}

void Guest::request(const std::string& line) {
  const std::string text = line + "\n";
  // A child that is gone shows in its answer, which is then missing.
  if (::write(to_, text.data(), text.size()) < 0 && errno != EPIPE)
    throw IoError("cannot talk to the process of", options_.source.string(), errno);
}

std::string Guest::answer(double limit) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  while (buffer_.find('\n') == std::string::npos) {
    const std::chrono::duration<double> waited = Clock::now() - start;
    const int left =
        limit == 0 ? -1 : static_cast<int>(std::clamp(1000 * (limit - waited.count()), 0.0, 1e9));
    pollfd wait = {from_, POLLIN, 0};
    const int ready = ::poll(&wait, 1, left);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) {
      child_->kill();
      throw Error(Exit::failed,
                  fmt::format("{}: no end after {:.3g} s {} (--time-limit SECONDS gives it more)",
                              options_.source.string(), limit, doing_));
    }
    char bytes[512];
    const ssize_t count = ::read(from_, bytes, sizeof bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count > 0) {
      buffer_.append(bytes, static_cast<std::size_t>(count));
      continue;
    }
    const std::optional<int> status = child_->wait_for(kEnd);
    const std::string how =
        !status ? "closed a descriptor that is not its own"
        : WIFSIGNALED(*status)
            ? fmt::format("crashed ({}{})", ::strsignal(WTERMSIG(*status)),
                          WTERMSIG(*status) == SIGSEGV
                              ? ": it touches what is outside its operands, or writes an input"
                              : "")
            : fmt::format("ended the process with code {}", WEXITSTATUS(*status));
    throw Error(Exit::failed, fmt::format("{}: {} {}", options_.source.string(), how, doing_));
  }
  const std::size_t end_of_line = buffer_.find('\n');
  std::string line = buffer_.substr(0, end_of_line);
  buffer_.erase(0, end_of_line + 1);
  return line;
}

std::string Guest::check(Index parts) {
  request(fmt::format("check {}", parts));
  // Only its calls are limited, not what is computed to compare them with.
  double limit = 0;
  for (std::string line = answer(limit);; line = answer(limit)) {
    if (line == "right") return {};
    if (line.starts_with("wrong ")) return line.substr(6);
    const bool called = line.starts_with("call ");
    if (called) doing_ = "on " + line.substr(5);
    limit = called ? options_.time_limit : 0;
  }
}

double Guest::seconds(Index parts, int calls) {
  doing_ = fmt::format("on {} parts of the timed size", parts);
  request(fmt::format("run {} {}", parts, calls));
  // So many calls may take ten times as long as they last did, beside the limit of one.
  double elapsed = 1, of_processors = 1;
  std::istringstream(answer(options_.time_limit + 10 * calls * seconds_per_call_).substr(5)) >> elapsed >>
      of_processors;
  seconds_per_call_ = elapsed / calls;
  if (!settled_)  // a quarter is what the fork and the join of two threads may cost
    threads_ = std::clamp(static_cast<int>(std::ceil(of_processors / elapsed - 0.25)), 1, options_.threads);
  return threads_ == 1 ? of_processors : elapsed;  // as rungs of the ladder are timed
}

void Guest::settle_threads(Index parts, int calls) {
  std::array<int, 5> counts;
  for (int& count : counts) {
    seconds(parts, calls);
    count = threads_;
  }
  std::ranges::sort(counts);
  threads_ = counts[counts.size() / 2];
  settled_ = true;
}

std::string Guest::remark() {
  doing_ = "on its first parts";
  request("remark 0");
  return answer(options_.time_limit).substr(7);
}

int host_guest(Ladder& ladder, const std::string& symbol, const Path& library) {
  std::FILE* const in = ::fdopen(kRequests, "r");
  std::FILE* const out = ::fdopen(kAnswers, "w");
  if (in == nullptr || out == nullptr)
    throw UsageError("--host is what `loglog ladder --with` starts its child with");
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
  const auto call = [&](const std::string& what, const std::function<void()>& run) {
    say("call " + what);
    run();
    say("returned");
  };
  char verb[8];
  for (long long parts = 0; std::fscanf(in, "%7s %lld", verb, &parts) == 2;) {
    if (std::string_view(verb) == "check") {
      const std::string wrong = ladder.check(rung, parts, call);
      say(wrong.empty() ? "right" : "wrong " + wrong);
      continue;
    }
    if (std::string_view(verb) == "remark") {
      say("remark " + ladder.remark(rung));
      continue;
    }
    int calls = 0;
    if (std::fscanf(in, "%d", &calls) != 1) break;
    const double start = now(CLOCK_MONOTONIC), busy = now(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < calls; ++i) ladder.run(rung, parts);
    const double processors = now(CLOCK_PROCESS_CPUTIME_ID) - busy, elapsed = now(CLOCK_MONOTONIC) - start;
    say(fmt::format("took {:.12g} {:.12g}", elapsed, processors));
  }
  return 0;
}

}  // namespace loglog::cli
