#include "sweep/worker.hpp"

#include <fstream>
#include <thread>

#include "base/error.hpp"
#include "runs.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::sweep;
using namespace std::chrono_literals;

namespace {
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
  for (const RunRow& run : Store(path, Store::Mode::read).runs()) REQUIRE(run.state != State::failed);
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
        Database(path, false)
            .execute(
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
