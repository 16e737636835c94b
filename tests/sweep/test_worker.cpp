#include "sweep/worker.hpp"

#include <atomic>
#include <fstream>
#include <thread>

#include "base/error.hpp"
#include "runs.hpp"
#include "support/catch.hpp"
#include "support/failing_allocator.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::sweep;
using namespace std::chrono_literals;

namespace {

// Refuses memory to every thread but the one that trains.
const std::thread::id training_thread = std::this_thread::get_id();
std::atomic<bool> refuse_other_threads = false;
std::atomic<long> refused_allocations = 0;
bool is_refused() {
  if (!refuse_other_threads || std::this_thread::get_id() == training_thread) return false;
  ++refused_allocations;
  return true;
}

struct Fixture {
  TemporaryFolder folder;
  Path path = folder.path() / "s.db";
  explicit Fixture() { Store(path, Store::Mode::create).add(test_runs(4)); }
};
}  // namespace

TEST_CASE_METHOD(Fixture, "a worker trains what is ready; failure and divergence belong to one run alone") {
  const auto result =
      work(path, {}, [](const RunSpec& spec, const Path& run_folder, const RunControl& control) {
        REQUIRE(std::filesystem::is_directory(run_folder));
        control.on_step(1);
        if (spec.seed == 0) throw std::logic_error("a contract was broken");
        if (spec.seed == 1) throw std::bad_alloc();
        Outcome outcome = done(3);
        if (spec.seed == 2) outcome.state = State::diverged, outcome.loss.reset();
        return std::optional(outcome);
      });
  REQUIRE(result.committed == 4);
  REQUIRE_FALSE(result.stopped);
  const auto runs = Store(path, Store::Mode::read).runs();
  REQUIRE(runs[0].error == "a contract was broken");
  REQUIRE(runs[1].error == "out of memory");
  REQUIRE(runs[2].state == State::diverged);
  REQUIRE(runs[3].state == State::done);
  REQUIRE_FALSE(std::filesystem::exists(Store(path, Store::Mode::read).run_folder(runs[3].spec.identity)));
}

TEST_CASE_METHOD(Fixture, "what is wrong outside of a run ends the worker and leaves the run in the queue") {
  const auto without_data = [](const RunSpec&, const Path&, const RunControl&) -> std::optional<Outcome> {
    throw InputError("no data");
  };
  REQUIRE_THROWS_WITH(work(path, {}, without_data), "run run-3: no data");
  for (const RunRow& run : Store(path, Store::Mode::read).runs()) REQUIRE(run.state == State::queued);

  const auto full_disk = [](const RunSpec&, const Path& run_folder,
                            const RunControl&) -> std::optional<Outcome> {
    std::filesystem::create_directories(run_folder / "checkpoints");
    std::ofstream(run_folder / "checkpoints" / "step-7.json") << "{}";
    throw IoError("cannot write", run_folder.native(), ENOSPC);
  };
  REQUIRE_THROWS_WITH(work(path, {}, full_disk), Catch::Contains("No space left"));
  REQUIRE(Store(path, Store::Mode::read).counts().at(State::checkpointed) == 1);
}

TEST_CASE_METHOD(Fixture, "a stopped run continues from its folder") {
  bool stop = false;
  WorkerOptions options;
  options.stop_requested = [&] { return stop; };
  const auto stopped =
      work(path, options, [&](const RunSpec&, const Path& run_folder, const RunControl& control) {
        std::ofstream(run_folder / "checkpoint") << "half";
        stop = true;
        REQUIRE(control.stop_requested());
        return std::optional<Outcome>();
      });
  REQUIRE(stopped.stopped);
  REQUIRE(stopped.committed == 0);
  stop = false;
  int continued = 0;
  work(path, options, [&](const RunSpec&, const Path& run_folder, const RunControl&) {
    continued += std::filesystem::exists(run_folder / "checkpoint") ? 1 : 0;
    return std::optional(done(1));
  });
  REQUIRE(continued == 1);
}

TEST_CASE_METHOD(Fixture, "a deadline stops before the next run") {
  WorkerOptions options;
  options.deadline = std::chrono::steady_clock::now() - 1s;
  REQUIRE(work(path, options, {}).stopped);
}

TEST_CASE_METHOD(Fixture, "a holder that lost its lease stops, and its folder moved away") {
  WorkerOptions options;
  options.beat_interval = 5ms;
  bool first = true;
  const auto result =
      work(path, options, [&](const RunSpec& spec, const Path& run_folder, const RunControl& control) {
        if (!first) return std::optional(done(1));
        first = false;
        Database(path).execute(
            "UPDATE run SET state = 'queued', lease_token = NULL, lease_holder = NULL WHERE state = "
            "'running'");
        while (!control.stop_requested()) std::this_thread::sleep_for(1ms);
        // Somebody else takes over what lies there.
        work(path, {}, [&](const RunSpec& other, const Path& taken, const RunControl&) {
          if (other.identity == spec.identity) REQUIRE(taken != run_folder);
          return std::optional(done(2));
        });
        REQUIRE_FALSE(std::filesystem::exists(run_folder));
        return std::optional(done(9));
      });
  REQUIRE(result.committed == 0);
  for (const RunRow& run : Store(path, Store::Mode::read).runs()) REQUIRE(run.loss == 2.0);
}

TEST_CASE_METHOD(Fixture, "a holder that finds its folder taken away goes on with other runs") {
  bool first = true;
  const auto result = work(path, {}, [&](const RunSpec&, const Path& run_folder, const RunControl&) {
    if (!first) return std::optional(done(1));
    first = false;
    // It slept for longer than its lease, and no beat has told it yet.
    Database(path).execute(
        "UPDATE run SET state = 'queued', lease_token = NULL, lease_holder = NULL WHERE state = "
        "'running'");
    work(path, {}, [](const RunSpec&, const Path&, const RunControl&) { return std::optional(done(2)); });
    throw IoError("cannot open for writing", run_folder.native(), ENOENT);
  });
  REQUIRE_FALSE(result.stopped);
  for (const RunRow& run : Store(path, Store::Mode::read).runs()) REQUIRE(run.loss == 2.0);
}

TEST_CASE_METHOD(Fixture, "a worker trains the runs of its sweep alone") {
  std::vector<RunSpec> others = test_runs(3);
  for (RunSpec& run : others) run.sweep = "other";
  others[2].identity = "ff";
  {
    Store store(path, Store::Mode::write);
    REQUIRE(store.add(others) == 1);  // two are runs of both
  }
  WorkerOptions options;
  options.sweep = "other";
  REQUIRE(work(path, options, [](const RunSpec&, const Path&, const RunControl&) {
            return std::optional(done(1));
          }).committed == 3);
  const Store store(path, Store::Mode::read);
  REQUIRE(store.waiting("other").empty());
  REQUIRE(store.counts("other") == std::map<State, std::int64_t>{{State::done, 3}});
  REQUIRE(store.waiting("t").at(0).ready == 2);
  REQUIRE(store.waiting().at(0).ready == 2);
}

TEST_CASE_METHOD(Fixture, "the folder of a run stays until every fork of it is done") {
  std::vector<RunSpec> forks = {test_run(7), test_run(8)};
  for (RunSpec& fork : forks) fork.parent = test_run(3).identity;
  Store(path, Store::Mode::write).add(forks);
  const Path trunk = Store(path, Store::Mode::read).run_folder(test_run(3).identity);
  int forks_done = 0;
  work(path, {}, [&](const RunSpec& spec, const Path&, const RunControl&) {
    if (!spec.parent.empty()) {
      REQUIRE(std::filesystem::exists(trunk));
      ++forks_done;
    }
    return std::optional(done(1));
  });
  REQUIRE(forks_done == 2);
  REQUIRE_FALSE(std::filesystem::exists(trunk));
}

TEST_CASE_METHOD(Fixture, "memory that is short between two beats of the heart ends nothing", "[allocator]") {
  WorkerOptions options;
  options.beat_interval = 2ms;
  allocation_is_refused = is_refused;
  const auto result = work(path, options, [&](const RunSpec&, const Path&, const RunControl&) {
    const long before = refused_allocations;
    // A beat fails, and there is no memory for the message that says why.
    Database database(path);
    database.execute("ALTER TABLE run RENAME TO hidden");
    refuse_other_threads = true;
    for (int i = 0; i < 2000 && refused_allocations == before; ++i) std::this_thread::sleep_for(1ms);
    refuse_other_threads = false;
    database.execute("ALTER TABLE hidden RENAME TO run");
    REQUIRE(refused_allocations > before);
    return std::optional(done(1));
  });
  REQUIRE(result.committed == 4);
}
