#include "sweep/worker.hpp"

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

#include "base/error.hpp"
#include "model/checkpoint.hpp"

namespace loglog::sweep {
namespace {

// Beats for one lease from a thread of its own, so that a long step is not taken for death.
class Heart {
 public:
  Heart(std::function<bool(std::int64_t)> pulse, std::chrono::milliseconds interval)
      : pulse_(std::move(pulse)), interval_(interval), thread_([this] { beat(); }) {}
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
        if (!pulse_(step_)) lost_ = true;
      } catch (const std::exception&) {  // a queue that is busy, or memory that is short, is asked again
      }
    }
  }

  std::function<bool(std::int64_t)> pulse_;
  std::chrono::milliseconds interval_;
  std::atomic<bool> lost_ = false;
  std::atomic<std::int64_t> step_ = 0;
  bool finished_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;  // last: it uses all of the above
};

Path folder_of(const RunQueue& queue, const Lease& lease) {
  return queue.run_folder(lease.spec.identity) / lease.token.substr(0, 8);
}

// The folder of this lease. What an earlier holder left is taken over by renaming: should that holder only
// have slept, its next write fails instead of mixing with ours.
Path take_folder(const RunQueue& queue, const Lease& lease) {
  FileSystem& fs = real_file_system();
  const Path parent = queue.run_folder(lease.spec.identity);
  Path folder = folder_of(queue, lease);
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
  Worker(RunQueue& queue, const WorkerOptions& options, const RunFunction& run)
      : queue_(queue), options_(options), run_(run) {}

  WorkerResult work() {
    WorkerResult result;
    while (!should_stop()) {
      const std::optional<Lease> lease = queue_.acquire();
      if (!lease) {
        result.stopped = should_stop();  // while it waited
        return result;
      }
      const std::optional<Outcome> outcome = train(*lease);
      if (!outcome) continue;
      ++result.committed;
      if (outcome->state == State::failed) ++result.failed;
    }
    result.stopped = true;
    return result;
  }

 private:
  bool should_stop() const {
    return options_.stop_requested() ||
           (options_.deadline && std::chrono::steady_clock::now() >= *options_.deadline);
  }

  // What was committed; nothing when the run waits again or is somebody else's now.
  std::optional<Outcome> train(const Lease& lease) {
    std::optional<Outcome> outcome;
    try {
      Heart heart(queue_.pulse(lease), options_.beat_interval);
      const RunControl control{[&] { return heart.lost() || should_stop(); },
                               [&](std::int64_t step) { heart.set_step(step); }};
      outcome = outcome_of(lease, control);
    } catch (const Error& error) {
      give_back(lease, error);
      return std::nullopt;
    }
    if (!outcome) {
      queue_.release(lease, true);
      return std::nullopt;
    }
    if (!queue_.commit(lease, *outcome)) return std::nullopt;
    if (outcome->state != State::failed) {
      remove_folder(lease.spec.identity);
      if (!lease.spec.parent.empty()) remove_folder(lease.spec.parent);
    }
    return outcome;
  }

  // A fork that waits needs the checkpoints of the run that it continues.
  void remove_folder(const std::string& identity) {
    if (options_.keep_folders || queue_.has_waiting_child(identity)) return;
    real_file_system().remove_all(queue_.run_folder(identity));
  }

  // A holder that slept for too long finds its folder moved away: that is nobody's fault. Any other cause the next run
  // would meet too.
  void give_back(const Lease& lease, const Error& error) {
    const bool checkpointed = !list_directory(folder_of(queue_, lease) / model::kCheckpointFolder).empty();
    if (!queue_.release(lease, checkpointed)) return;
    throw Error(error.exit_code, fmt::format("run {}: {}", lease.spec.name, error.what()));
  }

  std::optional<Outcome> outcome_of(const Lease& lease, const RunControl& control) {
    try {
      return run_(lease.spec, take_folder(queue_, lease), control);
    } catch (const std::bad_alloc&) {
      return failed("out of memory");
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      return failed(error.what());
    }
  }

  RunQueue& queue_;
  const WorkerOptions& options_;
  const RunFunction& run_;
};

class StoreQueue final : public RunQueue {
 public:
  StoreQueue(const Path& store, const WorkerOptions& options)
      : store_(store, Store::Mode::write), options_(options), holder_(this_process()) {}

  std::optional<Lease> acquire() override {
    return store_.acquire(holder_, options_.threads, options_.sweep);
  }
  std::function<bool(std::int64_t)> pulse(const Lease& lease) override {
    // Threads share no connection.
    return [store = std::make_shared<Store>(store_.path(), Store::Mode::write), lease](std::int64_t step) {
      return store->beat(lease, step);
    };
  }
  bool commit(const Lease& lease, const Outcome& outcome) override { return store_.commit(lease, outcome); }
  bool release(const Lease& lease, bool checkpointed) override { return store_.release(lease, checkpointed); }
  Path run_folder(std::string_view identity) const override { return store_.run_folder(identity); }
  bool has_waiting_child(std::string_view identity) override { return store_.has_waiting_child(identity); }

 private:
  Store store_;
  const WorkerOptions& options_;
  std::string holder_;
};

}  // namespace

WorkerResult work(RunQueue& queue, const WorkerOptions& options, const RunFunction& run) {
  return Worker(queue, options, run).work();
}

WorkerResult work(const Path& store, const WorkerOptions& options, const RunFunction& run) {
  StoreQueue queue(store, options);
  return work(queue, options, run);
}

}  // namespace loglog::sweep
