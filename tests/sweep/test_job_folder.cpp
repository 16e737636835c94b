// Leases, spools and what a merge makes of them, in a folder without a database.
#include "sweep/job_folder.hpp"

#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <thread>

#include "base/error.hpp"
#include "processes.hpp"
#include "real_runs.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "sweep/table.hpp"
#include "sweep/worker.hpp"

using namespace loglog;
using namespace loglog::sweep;
using namespace std::chrono_literals;
using Catch::Contains;

namespace {

struct Fixture {
  TemporaryFolder folder;
  Path job = folder.path() / "a.job";
  void plan(int count) {
    std::vector<RunSpec> runs;
    for (int i = 0; i < count; ++i) runs.push_back(real_run(i));
    write_job(job, {"t", "/data.tok", "name = \"t\"", runs});
  }
  JobQueue queue(JobOptions options = {}) const { return JobQueue(job, read_job(job).runs, options); }
  // A store of all spools.
  std::unique_ptr<Store> merged() const {
    auto merged = std::make_unique<Store>(folder.path() / "merged.db", Store::Mode::create);
    for (const std::string& name : list_directory(job / "spool"))
      merged->import(read_jsonl(read_text(job / "spool" / name), name).runs);
    return merged;
  }
};

// Takes runs until there are none; a result names its run.
void drain(JobQueue queue) {
  while (const auto lease = queue.acquire())
    if (!queue.commit(*lease, real_result(static_cast<int>(lease->spec.seed), 1))) ::_exit(3);
}

}  // namespace

TEST_CASE_METHOD(Fixture, "a job comes back as it was planned, the dearest first, and belongs to one sweep") {
  std::vector<RunSpec> runs = {real_run(0), real_run(1)};
  write_job(job, {"t", "/data.tok", "text", runs});
  const Job back = read_job(job);
  REQUIRE(back.sweep == "t");
  REQUIRE(back.data == "/data.tok");
  REQUIRE(back.runs.size() == 2);
  REQUIRE(back.runs[0].config == real_run(0).config);
  REQUIRE_THROWS_WITH(write_job(job, {"other", "/data.tok", "", runs}), Contains("sweep 't'"));
  std::ofstream(folder.path() / "text") << "x";
  REQUIRE_THROWS_AS(write_job(folder.path(), {"t", "/data.tok", "", runs}), UsageError);
  REQUIRE_THROWS_WITH(read_job(folder.path()), Contains("no job folder"));
  REQUIRE(agreed_row(job).empty());
  REQUIRE(agree_on_row(job, "avx2") == "avx2");
  REQUIRE(agree_on_row(job, "avx512") == "avx2");
}

TEST_CASE_METHOD(Fixture, "a run is leased once, and its result is a line of the spool") {
  plan(3);
  JobQueue one = queue({"one"}), two = queue({"two"});
  const auto first = one.acquire(), second = two.acquire();
  REQUIRE(first->spec.identity != second->spec.identity);
  REQUIRE(one.commit(*first, real_result(static_cast<int>(first->spec.seed), 1)));
  REQUIRE(two.release(*second, true));
  REQUIRE(one.counts() ==
          std::map<State, std::int64_t>{{State::done, 1}, {State::checkpointed, 1}, {State::queued, 1}});
  REQUIRE(one.acquire()->spec.identity == second->spec.identity);
  REQUIRE(list_directory(job / "spool").size() == 1);
  REQUIRE_THAT(list_directory(job / "spool")[0], Catch::StartsWith("one-"));
  REQUIRE(merged()->counts() == std::map<State, std::int64_t>{{State::done, 1}});
}

TEST_CASE_METHOD(Fixture,
                 "eight processes take every run once, and the merge is the store of a local sweep") {
  constexpr int kRuns = 60;
  plan(kRuns);
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) children.push_back(spawn([&] { drain(queue()); }));
  for (const pid_t child : children) REQUIRE(wait_for(child) == 0);
  std::size_t lines = 0;
  for (const std::string& name : list_directory(job / "spool"))
    lines += read_jsonl(read_text(job / "spool" / name), name).runs.size();
  REQUIRE(lines == kRuns);
  Store local(folder.path() / "local.db", Store::Mode::create);
  for (int i = 0; i < kRuns; ++i) local.import(std::vector<FinishedRun>{{real_run(i), real_result(i, 1)}});
  merged();
  const auto twice = merged();
  REQUIRE(export_jsonl(*twice, Timing::yes) == export_jsonl(local, Timing::yes));
  twice->verify();
}

TEST_CASE_METHOD(Fixture, "killed at any moment, tasks lose no result and leave no run behind") {
  constexpr int kRuns = 200;
  plan(kRuns);
  std::size_t before = 0;
  for (unsigned kill = 0; kill < 20; ++kill) {
    const pid_t first = spawn([&] { drain(queue()); });
    const pid_t second = spawn([&] { drain(queue()); });
    std::this_thread::sleep_for(std::chrono::microseconds(5000 + 7919 * kill % 40000));
    ::kill(first, SIGKILL);
    ::kill(second, SIGKILL);
    wait_for(first);
    wait_for(second);
    const std::size_t now = merged()->runs().size();
    REQUIRE(now >= before);
    before = now;
  }
  queue().requeue();  // of runs that were unlucky five times
  drain(queue());
  const auto store = merged();
  REQUIRE(store->counts() == std::map<State, std::int64_t>{{State::done, kRuns}});
  for (const RunRow& run : store->runs())
    REQUIRE(run.loss == *real_result(static_cast<int>(run.spec.seed), 1).loss);
}

TEST_CASE_METHOD(
    Fixture, "F13: a lease of another machine that stands still is taken over, and its holder learns it") {
  plan(1);
  JobQueue sleeper = queue({"sleeper", "", 20ms});
  const auto slept = sleeper.acquire();
  const auto pulse = sleeper.pulse(*slept);
  REQUIRE(pulse(1));
  // As if the holder ran elsewhere: nobody here can tell whether it lives.
  const Path lease = job / "leases" / (slept->spec.identity + ".1");
  std::string text = read_text(lease);
  const std::size_t holder = text.find("\"holder\":\"") + 10;
  text.replace(holder, text.find('"', holder) - holder, "elsewhere 1 1");
  write_atomically(real_file_system(), lease, text);
  const auto taken = queue({"taker", "", 20ms}).acquire();
  REQUIRE(taken->spec.identity == slept->spec.identity);
  REQUIRE(taken->token != slept->token);
  REQUIRE_FALSE(pulse(2));
  REQUIRE_FALSE(sleeper.commit(*slept, real_result(0, 1)));
  REQUIRE_FALSE(sleeper.release(*slept, true));
  REQUIRE(list_directory(job / "spool").empty());
}

TEST_CASE_METHOD(Fixture, "a task does not wait for leases of other machines that beat") {
  plan(1);
  JobQueue holder = queue({"holder", "", 50ms});
  const auto lease = holder.acquire();
  const Path file = job / "leases" / (lease->spec.identity + ".1");
  std::atomic<bool> over = false;
  std::thread beats([&] {
    for (int beat = 0; !over; ++beat) {
      write_atomically(
          real_file_system(), file,
          fmt::format(
              R"({{"token":"x","holder":"elsewhere 1 1","state":"running","beat":{},"step":0,"crashes":0}})",
              beat));
      std::this_thread::sleep_for(10ms);
    }
  });
  const auto none = queue({"other", "", 50ms}).acquire();
  over = true;
  beats.join();
  REQUIRE_FALSE(none);
}

TEST_CASE_METHOD(Fixture,
                 "a fork waits until its parent is done, and the parent's folder until the fork is") {
  RunSpec fork = real_run(1);
  fork.parent = real_run(0).identity;
  fork.c = 2 * fork.c;  // dearer: it would be first
  // A line says nothing that its configuration does not: the order alone is changed.
  write_job(job, {"t", "/data.tok", "", {real_run(0), fork}});
  JobQueue tasks(job, {fork, real_run(0)}, {});
  const auto parent = tasks.acquire();
  REQUIRE(parent->spec.identity == real_run(0).identity);
  REQUIRE_FALSE(tasks.acquire());
  REQUIRE(tasks.commit(*parent, real_result(0, 1)));
  REQUIRE(tasks.has_waiting_child(real_run(0).identity));
  const auto child = tasks.acquire();
  REQUIRE(child->spec.identity == fork.identity);
  REQUIRE(tasks.commit(*child, real_result(1, 1)));
  REQUIRE_FALSE(tasks.has_waiting_child(real_run(0).identity));
}

TEST_CASE_METHOD(Fixture, "a fork that is asked for by its name brings its trunk, and nothing else") {
  RunSpec fork = real_run(1), other = real_run(2);
  fork.parent = other.parent = real_run(0).identity;
  write_job(job, {"t", "/data.tok", "", {fork, other, real_run(0), real_run(3)}});
  JobQueue tasks = queue({"x", fork.identity});
  const auto trunk = tasks.acquire();
  REQUIRE(trunk->spec.identity == real_run(0).identity);
  REQUIRE_FALSE(queue({"y", fork.identity}).acquire());  // its trunk is being trained
  REQUIRE(tasks.commit(*trunk, real_result(0, 1)));
  const auto lease = tasks.acquire();
  REQUIRE(lease->spec.identity == fork.identity);
  REQUIRE(tasks.commit(*lease, real_result(1, 1)));
  REQUIRE_FALSE(tasks.acquire());
  REQUIRE(tasks.has_waiting_child(real_run(0).identity));  // the other fork needs its checkpoints
}

TEST_CASE_METHOD(Fixture, "one run is trained by its name, again when it failed, and not when it is done") {
  plan(3);
  const std::string name = real_run(1).identity;
  Outcome failure;
  failure.state = State::failed;
  failure.error = "out of memory";
  for (const Outcome& outcome : {failure, real_result(1, 1)}) {
    JobQueue tasks = queue({"x", name});
    const auto lease = tasks.acquire();
    REQUIRE(lease->spec.identity == name);
    REQUIRE(tasks.commit(*lease, outcome));
    REQUIRE(tasks.state_of(name) == outcome.state);
  }
  REQUIRE_FALSE(queue({"x", name}).acquire());
  REQUIRE_THROWS_WITH(queue().state_of("0"), Contains("no run 0"));
  REQUIRE(merged()->counts() == std::map<State, std::int64_t>{{State::done, 1}});
}

TEST_CASE_METHOD(Fixture, "a run whose tasks keep dying is abandoned, and can be given another chance") {
  plan(1);
  for (int death = 0; death < kMaxCrashes; ++death)
    REQUIRE(wait_for(spawn([&] { ::_exit(queue().acquire() ? 0 : 1); })) == 0);
  JobQueue tasks = queue();
  REQUIRE_FALSE(tasks.acquire());
  REQUIRE(tasks.counts() == std::map<State, std::int64_t>{{State::abandoned, 1}});
  REQUIRE(tasks.requeue() == 1);
  REQUIRE(tasks.acquire());
}

TEST_CASE_METHOD(Fixture, "a worker trains a job as it trains a store") {
  plan(4);
  JobQueue tasks = queue();
  const WorkerResult result =
      work(tasks, {}, [](const RunSpec& spec, const Path& run_folder, const RunControl& control) {
        REQUIRE(std::filesystem::is_directory(run_folder));
        control.on_step(1);
        if (spec.seed == 0) throw std::logic_error("a contract was broken");
        return std::optional(real_result(static_cast<int>(spec.seed), 1));
      });
  REQUIRE(result.committed == 4);
  REQUIRE(result.failed == 1);
  const auto store = merged();
  REQUIRE(store->counts() == std::map<State, std::int64_t>{{State::done, 3}, {State::failed, 1}});
  REQUIRE(list_directory(job / "runs") ==
          std::vector<std::string>{real_run(0).identity});  // for who asks why
}
