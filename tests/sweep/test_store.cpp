#include "sweep/store.hpp"

#include <unistd.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "base/error.hpp"
#include "processes.hpp"
#include "runs.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::sweep;
using Catch::Contains;
using Mode = Store::Mode;
using std::chrono::seconds;

namespace {

struct Fixture {
  TemporaryFolder folder;
  Path path = folder.path() / "s.db";
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a run is leased once, dearest first, and its result committed once") {
  Store store(path, Mode::create);
  REQUIRE(store.add(test_runs(3)) == 3);
  REQUIRE(store.add(test_runs(4)) == 1);
  const auto first = store.acquire("me", 0);
  const auto second = store.acquire("me", 0);
  REQUIRE(first->spec.name == "run-3");
  REQUIRE(second->spec.name == "run-2");
  REQUIRE(store.commit(*first, done(2.5)));
  REQUIRE_FALSE(store.commit(*first, done(9.0)));
  REQUIRE_FALSE(store.beat(*first, 1));
  REQUIRE(store.counts() ==
          std::map<State, std::int64_t>{{State::done, 1}, {State::queued, 2}, {State::running, 1}});
  const auto runs = store.runs();
  REQUIRE(runs.size() == 4);
  REQUIRE(runs[3].loss == 2.5);
  REQUIRE(store.curve(runs[3].id).size() == 2);
  REQUIRE_FALSE(store.curve(runs[3].id)[0].val_loss.has_value());
  store.verify();
}

TEST_CASE_METHOD(Fixture,
                 "threads select what a worker leases, and a stopped run waits with its checkpoint") {
  auto runs = test_runs(2);
  runs[1].threads = 2;
  Store store(path, Mode::create);
  store.add(runs);
  const auto wide = store.acquire("me", 2);
  REQUIRE(wide->spec.name == "run-1");
  REQUIRE_FALSE(store.acquire("me", 2));
  REQUIRE(store.release(*wide, true));
  REQUIRE(store.counts().at(State::checkpointed) == 1);
  REQUIRE(store.acquire("me", 2)->spec.name == "run-1");
}

TEST_CASE_METHOD(
    Fixture,
    "runs that a changed sweep file no longer has leave the sweep, and nothing that was begun is lost") {
  auto runs = test_runs(6);
  runs[4].parent = runs[3].identity;
  Store store(path, Mode::create);
  store.add(runs);
  const std::string sweep = runs[0].sweep;
  REQUIRE(store.commit(*store.acquire("me", 0), done(2.5)));  // 5
  REQUIRE(store.release(*store.acquire("me", 0), true));      // 3; 4 waits for it
  auto shared = runs[1];
  shared.sweep = "other";
  REQUIRE(store.add(std::vector{shared}) == 0);

  const Left left = store.leave_unplanned(sweep, std::vector{runs[0]});
  REQUIRE(left.shared == 1);     // 1
  REQUIRE(left.forgotten == 2);  // 2 and 4
  REQUIRE(left.kept == 2);       // 3 and 5
  store.verify();
  const auto names = [](const std::vector<RunRow>& rows) {
    std::set<std::string> all;
    for (const RunRow& row : rows) all.insert(row.spec.name);
    return all;
  };
  REQUIRE(names(store.runs_of(sweep)) == std::set<std::string>{"run-0"});
  REQUIRE(names(store.runs_of("other")) == std::set<std::string>{"run-1"});
  REQUIRE(names(store.runs()) == std::set<std::string>{"run-0", "run-1", "run-3", "run-5"});
  REQUIRE(store.sweeps() == std::set<std::string>{sweep, "other"});
  REQUIRE(store.counts(sweep) == std::map<State, std::int64_t>{{State::queued, 1}});

  // What continues a run goes before it: nothing idle is left behind.
  auto pair = std::vector{test_run(8), test_run(9)};
  pair[1].parent = pair[0].identity;
  for (RunSpec& run : pair) run.sweep = "pair";
  REQUIRE(store.add(pair) == 2);
  REQUIRE(store.leave_unplanned("pair", {}).forgotten == 2);

  // A shared run that its second sweep drops is the first one's alone again.
  REQUIRE(store.add(std::vector{runs[1]}) == 0);
  REQUIRE(store.leave_unplanned("other", {}).shared == 1);
  REQUIRE(store.sweeps() == std::set<std::string>{sweep});
  // Nobody trains what is of no sweep.
  REQUIRE(store.acquire("me", 0)->spec.name == "run-1");
  REQUIRE(store.acquire("me", 0)->spec.name == "run-0");
  REQUIRE_FALSE(store.acquire("me", 0));

  // The file is changed back: results and checkpoints are there.
  REQUIRE(store.add(runs) == 2);
  REQUIRE(store.leave_unplanned(sweep, runs).kept == 0);
  REQUIRE(store.runs_of(sweep).back().loss == 2.5);
  REQUIRE(store.counts(sweep) ==
          std::map<State, std::int64_t>{
              {State::done, 1}, {State::checkpointed, 1}, {State::queued, 2}, {State::running, 2}});
  store.verify();
}

TEST_CASE_METHOD(Fixture, "a forked run waits for its parent") {
  auto runs = test_runs(2);
  runs[1].parent = runs[0].identity;
  Store store(path, Mode::create);
  store.add(runs);
  const auto parent = store.acquire("me", 0);
  REQUIRE(parent->spec.name == "run-0");
  REQUIRE_FALSE(store.acquire("me", 0));
  store.commit(*parent, done(2));
  const auto child = store.acquire("me", 0);
  REQUIRE(child->spec.parent == runs[0].identity);
  runs[0].identity = "x";
  runs[0].parent = "nobody";
  REQUIRE_THROWS_WITH(store.add(runs), Contains("nobody"));
}

TEST_CASE_METHOD(Fixture, "NaN never becomes NULL: divergence is a state") {
  Store store(path, Mode::create);
  store.add(test_runs(2));
  const auto lease = store.acquire("me", 0);
  REQUIRE_THROWS(store.commit(*lease, done(std::nan(""))));
  REQUIRE_THROWS(store.commit(*lease, done(std::numeric_limits<double>::infinity())));
  Outcome lossless = done(1);
  lossless.loss.reset();
  REQUIRE_THROWS(store.commit(*lease, lossless));  // done without a loss
  Outcome diverged = lossless;
  diverged.state = State::diverged;
  REQUIRE(store.commit(*lease, diverged));
  REQUIRE(store.runs()[1].state == State::diverged);
  store.verify();
}

TEST_CASE_METHOD(Fixture, "a run whose holders keep dying is abandoned, and can be given another chance") {
  const auto lease_and_die = [&] {
    return wait_for(spawn([&] { ::_exit(Store(path, Mode::write).acquire(this_process(), 0) ? 0 : 1); }));
  };
  { Store(path, Mode::create).add(test_runs(1)); }
  BeatWatch watch(seconds(3600));
  for (int death = 0; death < kMaxCrashes; ++death) {
    REQUIRE(lease_and_die() == 0);
    REQUIRE(Store(path, Mode::write).reclaim(watch, {}) == 1);  // at once: the process is gone
  }
  Store store(path, Mode::write);
  REQUIRE(store.counts().at(State::abandoned) == 1);
  REQUIRE_FALSE(store.acquire("me", 0));
  const State retry[] = {State::failed, State::abandoned};
  REQUIRE(store.requeue(retry) == 1);
  const auto lease = store.acquire("me", 0);
  Outcome failure;
  failure.state = State::failed;
  failure.error = "disk full";
  REQUIRE(store.commit(*lease, failure));
  REQUIRE(store.runs()[0].error == "disk full");
  REQUIRE(store.requeue(retry) == 1);
  store.verify();
}

TEST_CASE("only processes that are certainly gone count as gone") {
  REQUIRE_FALSE(is_gone(this_process()));
  REQUIRE_FALSE(is_gone("elsewhere 1 1"));
  REQUIRE_FALSE(is_gone(""));
  std::string same_pid_other_start = this_process();
  same_pid_other_start.back() = same_pid_other_start.back() == '1' ? '2' : '1';
  REQUIRE(is_gone(same_pid_other_start));
}

TEST_CASE_METHOD(Fixture, "several that make the same store at once share it, and leave nothing beside it") {
  constexpr int kMakers = 8;
  std::vector<pid_t> makers;
  for (int i = 0; i < kMakers; ++i)
    makers.push_back(spawn([&] { Store(path, Mode::create).add(test_runs(4)); }));
  for (const pid_t maker : makers) REQUIRE(wait_for(maker) == 0);
  REQUIRE(Store(path, Mode::read).runs().size() == 4);
  REQUIRE(list_directory(folder.path()) == std::vector<std::string>{path.filename().native()});
}

TEST_CASE_METHOD(Fixture, "a store is a file, whatever its name") {
  const Path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  for (const char* name : {":memory:", "file:y.db"}) {
    { Store(name, Mode::create).add(test_runs(1)); }
    REQUIRE(std::filesystem::exists(name));
    REQUIRE(Store(name, Mode::read).runs().size() == 1);
  }
  std::filesystem::current_path(before);
}

TEST_CASE_METHOD(Fixture, "results import once, also over runs that wait") {
  Store store(path, Mode::create);
  store.add(test_runs(1));
  const std::vector<FinishedRun> results = {{test_run(0), done(2)}, {test_run(1), done(3)}};
  REQUIRE(store.import(results).merged == 2);
  const std::vector<FinishedRun> other = {{test_run(0), done(9)}};
  const MergeCount again = store.import(other);
  REQUIRE(again.merged == 0);
  REQUIRE(again.known == 1);
  REQUIRE(again.conflicts.size() == 1);
  REQUIRE(again.conflicts[0].name == "run-0");
  REQUIRE(again.conflicts[0].here == 2.0);
  REQUIRE(again.conflicts[0].there == 9.0);
  const std::vector<FinishedRun> nearly = {{test_run(0), done(2.001)}};  // of another machine
  REQUIRE(store.import(nearly).conflicts.empty());
  REQUIRE(store.runs()[0].loss == 2.0);
  REQUIRE_FALSE(store.acquire("me", 0));
  store.verify();
}

TEST_CASE_METHOD(Fixture, "verify finds a result without a finished run") {
  Store store(path, Mode::create);
  store.import(std::vector<FinishedRun>{{test_run(0), done(2)}});
  Database(path).execute("UPDATE run SET state = 'queued'");
  REQUIRE_THROWS_WITH(store.verify(), Contains("run-0"));
}

TEST_CASE("the runs of one sweep are chosen by its name, and a choice is asked for where there are several") {
  const TemporaryFolder folder;
  Store store(folder.path() / "s.db", Store::Mode::create);
  std::vector<RunSpec> runs = test_runs(3);
  runs[1].sweep = "tuning";
  store.add(std::span(runs).first(1));
  REQUIRE(store.runs_of("").size() == 1);
  store.add(runs);
  REQUIRE(store.runs_of("t").size() == 2);
  REQUIRE(store.runs_of("tuning")[0].spec.name == "run-1");
  REQUIRE_THROWS_AS(store.runs_of(""), UsageError);
  REQUIRE_THROWS_WITH(store.runs_of("tunings"), Catch::Contains("t, tuning"));
}

TEST_CASE_METHOD(Fixture,
                 "a run of two sweeps is trained once and belongs to both, each with its own name for it") {
  Store store(path, Mode::create);
  store.add(test_runs(3));
  std::vector<RunSpec> others = {test_run(1), test_run(2), test_run(5)};
  for (RunSpec& run : others) run.sweep = "other", run.name = "other " + run.name, run.budget = 7;
  REQUIRE(store.add(others) == 1);
  REQUIRE(store.add(others) == 0);  // and nothing is there twice
  REQUIRE(store.runs().size() == 4);
  REQUIRE(store.runs_by_sweep().size() == 6);
  REQUIRE(store.sweeps() == std::set<std::string>{"other", "t"});
  REQUIRE(store.runs_of("t").size() == 3);
  const auto rows = store.runs_of("other");
  REQUIRE(rows.size() == 3);
  for (const RunRow& row : rows) {
    REQUIRE(row.spec.name == "other run-" + std::to_string(row.spec.seed));
    REQUIRE(row.spec.budget == 7);
  }
  REQUIRE(store.counts("other") == std::map<State, std::int64_t>{{State::queued, 3}});
  REQUIRE(store.acquire("me", 0, "t")->spec.name == "run-2");
  REQUIRE(store.running("other").size() == 1);
  REQUIRE(store.waiting("other").at(0).ready == 2);
  store.verify();
}

TEST_CASE_METHOD(Fixture, "failed runs of another sweep stay as they are") {
  Store store(path, Mode::create);
  std::vector<RunSpec> runs = test_runs(2);
  runs[1].sweep = "other";
  store.add(runs);
  Outcome failure;
  failure.state = State::failed;
  for (int i = 0; i < 2; ++i) store.commit(*store.acquire("me", 0), failure);
  const State retry[] = {State::failed};
  REQUIRE(store.requeue(retry, "other") == 1);
  REQUIRE(store.counts("t") == std::map<State, std::int64_t>{{State::failed, 1}});
  store.verify();
}

TEST_CASE_METHOD(Fixture, "results of forks import in any order") {
  Store store(path, Mode::create);
  RunSpec child = test_run(0), grandchild = test_run(1);
  child.parent = test_run(2).identity;
  grandchild.parent = child.identity;
  const std::vector<FinishedRun> results = {{grandchild, done(4)}, {child, done(3)}, {test_run(2), done(2)}};
  REQUIRE(store.import(results).merged == 3);
  REQUIRE(store.runs()[0].spec.parent == child.parent);
  RunSpec orphan = test_run(3);
  orphan.parent = "nobody";
  REQUIRE_THROWS_WITH(store.import(std::vector<FinishedRun>{{orphan, done(1)}}), Contains("nobody"));
}

TEST_CASE_METHOD(Fixture, "every sweep keeps the commands that made it") {
  Store store(path, Mode::create);
  store.save_note("command", "as earlier versions had it");
  REQUIRE(store.commands("t") == std::vector<std::string>{"as earlier versions had it"});
  for (const char* command : {"sweep run a", "sweep resume a", "sweep resume a"})
    store.add_command("a", command);
  store.add_command("b", "sweep run b");
  REQUIRE(store.commands("a").size() == 3);
  REQUIRE(store.commands("a")[2] == "sweep resume a");
  REQUIRE(store.commands("b").back() == "sweep run b");
}
