#include "sweep/worker.hpp"

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <thread>

#include "base/error.hpp"
#include "model/checkpoint.hpp"

namespace loglog::sweep {
namespace {

// Beats for one lease from a thread and a connection of its own, so that a long step is not taken for death.
class Heart {
 public:
  Heart(const Path& store, const Lease& lease, std::chrono::milliseconds interval)
      : store_(store, Store::Mode::write), lease_(lease), interval_(interval), thread_([this] { beat(); }) {}
  ~Heart() {
    {
      const std::lock_guard lock(mutex_);
      finished_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  bool lost() const { return lost_; }
  void set_step(std::int64_t step) { step_ = step; }

 private:
  void beat() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, interval_, [this] { return finished_; })) {
      try {
        if (!store_.beat(lease_, step_)) lost_ = true;
      } catch (const std::exception&) {  // a store that is busy, or memory that is short, is asked again
      }
    }
  }

  Store store_;
  const Lease& lease_;
  std::chrono::milliseconds interval_;
  std::atomic<bool> lost_ = false;
  std::atomic<std::int64_t> step_ = 0;
  bool finished_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;  // last: it uses all of the above
};

Path folder_of(const Store& store, const Lease& lease) {
  return store.run_folder(lease.spec.identity) / lease.token.substr(0, 8);
}

// The folder of this lease. What an earlier holder left is taken over by renaming: should that holder only
// have slept, its next write fails instead of mixing with ours.
Path take_folder(const Store& store, const Lease& lease) {
  FileSystem& fs = real_file_system();
  const Path parent = store.run_folder(lease.spec.identity);
  Path folder = folder_of(store, lease);
  fs.create_directories(parent);
  for (const auto& entry : std::filesystem::directory_iterator(parent)) {
    if (!entry.is_directory()) continue;
    fs.rename(entry.path(), folder);
    return folder;
  }
  fs.create_directories(folder);
  return folder;
}

Outcome failed(std::string message) {
  Outcome outcome;
  outcome.state = State::failed;
  outcome.error = std::move(message);
  return outcome;
}

class Worker {
 public:
  Worker(const Path& path, const WorkerOptions& options, const RunFunction& run)
      : store_(path, Store::Mode::write), options_(options), run_(run), holder_(this_process()) {}

  WorkerResult work() {
    WorkerResult result;
    while (!should_stop()) {
      const std::optional<Lease> lease = store_.acquire(holder_, options_.threads, options_.sweep);
      if (!lease) return result;
      if (train(*lease)) ++result.committed;
    }
    result.stopped = true;
    return result;
  }

 private:
  bool should_stop() const {
    return options_.stop_requested() ||
           (options_.deadline && std::chrono::steady_clock::now() >= *options_.deadline);
  }

  bool train(const Lease& lease) {
    std::optional<Outcome> outcome;
    {
      Heart heart(store_.path(), lease, options_.beat_interval);
      const RunControl control{[&] { return heart.lost() || should_stop(); },
                               [&](std::int64_t step) { heart.set_step(step); }};
      outcome = outcome_of(lease, control);
    }
    if (!outcome) {
      store_.release(lease, true);
      return false;
    }
    if (!store_.commit(lease, *outcome)) return false;  // somebody else has it now
    if (outcome->state != State::failed) {
      remove_folder(lease.spec.identity);
      if (!lease.spec.parent.empty()) remove_folder(lease.spec.parent);
    }
    return true;
  }

  // A fork that waits needs the checkpoints of the run that it continues.
  void remove_folder(const std::string& identity) {
    if (options_.keep_folders || store_.has_waiting_child(identity)) return;
    real_file_system().remove_all(store_.run_folder(identity));
  }

  std::optional<Outcome> outcome_of(const Lease& lease, const RunControl& control) {
    try {
      return run_(lease.spec, take_folder(store_, lease), control);
    } catch (const std::bad_alloc&) {
      return failed("out of memory");
    } catch (const Error& error) {
      // A holder that slept for too long finds its folder moved away: that is nobody's fault.
      const bool checkpointed = !list_directory(folder_of(store_, lease) / model::kCheckpointFolder).empty();
      if (!store_.release(lease, checkpointed)) return std::nullopt;
      // The next run would meet the same.
      throw Error(error.exit_code, fmt::format("run {}: {}", lease.spec.name, error.what()));
    } catch (const std::exception& error) {
      return failed(error.what());
    }
  }

  Store store_;
  const WorkerOptions& options_;
  const RunFunction& run_;
  std::string holder_;
};

}  // namespace

WorkerResult work(const Path& store, const WorkerOptions& options, const RunFunction& run) {
  return Worker(store, options, run).work();
}

}  // namespace loglog::sweep
