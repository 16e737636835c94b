#include "sweep/launcher.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/error.hpp"

#if defined(__linux__)
#include <sched.h>
#include <sys/prctl.h>
#endif

extern char** environ;

namespace loglog::sweep {
namespace {

using Clock = std::chrono::steady_clock;

struct Slot {
  std::vector<int> cpus;
  pid_t worker = 0;
};

// What waits and what runs, by the threads that were planned for it.
struct Demand {
  std::int64_t ready = 0;
  double memory_bytes = 0;  // of the largest of these runs
};

class Launcher {
 public:
  Launcher(Store& store, const LauncherOptions& options)
      : store_(store), options_(options), watch_(3 * options.beat_interval), start_(Clock::now()) {}
  ~Launcher() {
    stop_workers(SIGTERM);
    while (busy_slots() > 0) collect(true);
  }
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;

  SweepEnd run() {
    while (!should_stop()) {
      collect(false);
      store_.reclaim(watch_, Clock::now());
      const std::map<int, Demand> demand = store_demand();
      if (demand.empty() && busy_slots() == 0) {
        std::error_code not_empty;  // folders of failed runs stay
        std::filesystem::remove(store_.runs_folder(), not_empty);
        return SweepEnd::finished;
      }
      const auto next =
          std::find_if(demand.rbegin(), demand.rend(), [](const auto& d) { return d.second.ready > 0; });
      if (next != demand.rend()) fill_slots(next->first, next->second);
      report();
      std::this_thread::sleep_for(options_.poll_interval);
    }
    stop_workers(SIGTERM);
    while (busy_slots() > 0) collect(true);
    return store_demand().empty() ? SweepEnd::finished : SweepEnd::stopped;
  }

 private:
  double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  bool should_stop() const {
    return options_.stop_requested() || (options_.max_seconds && elapsed() >= *options_.max_seconds);
  }
  std::int64_t busy_slots() const {
    return std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.worker != 0; });
  }

  std::map<int, Demand> store_demand() const {
    std::map<int, Demand> demand;
    for (const WaitingRuns& waiting : store_.waiting(options_.sweep))
      demand[waiting.threads] = {waiting.ready, waiting.memory_bytes};
    return demand;
  }

  // Slots are cut anew when runs with another number of threads are up, once the old workers are gone.
  void fill_slots(int planned_threads, const Demand& demand) {
    const int cores = static_cast<int>(options_.cpus.size());
    const int threads = std::clamp(planned_threads, 1, cores);
    if (planned_threads != planned_threads_) {
      if (busy_slots() > 0) return;
      slots_.clear();
      for (int first = 0; first + threads <= cores; first += threads)
        slots_.push_back({{options_.cpus.begin() + first, options_.cpus.begin() + first + threads}});
      planned_threads_ = planned_threads;
    }
    std::int64_t wanted = std::min<std::int64_t>(demand.ready, static_cast<std::int64_t>(slots_.size()));
    if (options_.memory_bytes > 0 && demand.memory_bytes > 0) {
      const auto fits = static_cast<std::int64_t>(options_.memory_bytes / demand.memory_bytes);
      wanted = std::min(wanted, std::max<std::int64_t>(1, fits) - busy_slots());
    }
    for (Slot& slot : slots_) {
      if (wanted <= 0) return;
      if (slot.worker != 0) continue;
      slot.worker = spawn(slot);
      --wanted;
    }
  }

  pid_t spawn(const Slot& slot) const {
    std::vector<std::string> command = options_.command;
    command.insert(command.end(),
                   {"--parent", std::to_string(::getpid()), "--threads", std::to_string(slot.cpus.size()),
                    "--planned-threads", std::to_string(planned_threads_), "--cpus",
                    fmt::format("{}", fmt::join(slot.cpus, ","))});
    if (!options_.sweep.empty()) command.insert(command.end(), {"--sweep", options_.sweep});
    if (options_.max_seconds)
      command.insert(command.end(), {"--seconds", fmt::format("{:.3f}", *options_.max_seconds - elapsed())});
    std::vector<char*> arguments;
    for (std::string& word : command) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t child = 0;
    const int code = ::posix_spawn(&child, arguments[0], nullptr, nullptr, arguments.data(), environ);
    if (code != 0) throw IoError("cannot start worker", command.front(), code);
    return child;
  }

  void collect(bool wait) {
    for (Slot& slot : slots_) {
      if (slot.worker == 0) continue;
      int status = 0;
      const pid_t ended = ::waitpid(slot.worker, &status, wait ? 0 : WNOHANG);
      if (ended == 0 || (ended < 0 && errno == EINTR)) continue;
      slot.worker = 0;
      if (wait || !WIFEXITED(status)) continue;  // killed: reclaim() gives its run to another
      const int code = WEXITSTATUS(status);
      if (code == 0 || code == static_cast<int>(Exit::checkpointed)) continue;
      throw Error(static_cast<Exit>(code), fmt::format("a worker ended with exit code {}", code));
    }
  }

  void stop_workers(int signal) const {
    for (const Slot& slot : slots_)
      if (slot.worker != 0) ::kill(slot.worker, signal);
  }

  void report() {
    SweepProgress progress;
    progress.counts = store_.counts(options_.sweep);
    for (const WaitingRuns& waiting : store_.waiting(options_.sweep)) {
      const double side_by_side =
          std::max(1.0, static_cast<double>(options_.cpus.size()) / std::max(1, waiting.threads));
      progress.seconds_left += waiting.seconds / side_by_side;
    }
    progress.running = store_.running(options_.sweep);
    options_.on_progress(progress);
  }

  Store& store_;
  const LauncherOptions& options_;
  BeatWatch watch_;
  Clock::time_point start_;
  std::vector<Slot> slots_;
  int planned_threads_ = -1;
};

}  // namespace

SweepEnd launch(Store& store, const LauncherOptions& options) {
  return Launcher(store, options).run();
}

void pin_to_cpus([[maybe_unused]] const std::vector<int>& cpus) {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(static_cast<std::size_t>(cpu), &set);
  ::sched_setaffinity(0, sizeof set, &set);
#endif
}

void stop_with_parent([[maybe_unused]] int parent) {
#if defined(__linux__)
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::raise(SIGTERM);  // it died before we asked
#endif
}

}  // namespace loglog::sweep
