// Faults around a store: killed writers (F2), a full disk (F4), many processes (F9), network file systems (F12), holders that
// sleep (F13), other versions (F17); and what is never read when a store is large.
#include <signal.h>
#include <sys/resource.h>

#include <fstream>
#include <random>
#include <thread>

#include "base/error.hpp"
#include "processes.hpp"
#include "runs.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "sweep/store.hpp"

using namespace loglog;
using namespace loglog::sweep;
using Catch::Contains;
using Mode = Store::Mode;
using std::chrono::seconds;

namespace {

// Leases and commits until nothing is left; the loss names the run, and `commits` takes a line for each.
void drain(const Path& path, const std::string& sweep = "", const Path& commits = "/dev/null") {
  Store store(path, Mode::write);
  std::ofstream lines(commits);
  const std::string holder = this_process();
  while (const auto lease = store.acquire(holder, 0, sweep)) {
    store.beat(*lease, 1);
    if (!store.commit(*lease, done(1.0 + static_cast<double>(lease->spec.seed)))) ::_exit(3);
    lines << lease->spec.identity << std::endl;
  }
}

// Files of this process end at `bytes` as a full disk would end them, without privileges.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : old_handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit = {bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, old_handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit old_{};
  sighandler_t old_handler_;
};

struct Fixture {
  TemporaryFolder folder;
  Path path = folder.path() / "s.db";
};

}  // namespace

TEST_CASE_METHOD(Fixture, "F2: kill -9 during commits loses nothing that was committed") {
  constexpr int kRuns = 2000;
  { Store(path, Mode::create).add(test_runs(kRuns)); }
  std::mt19937 random(7);
  std::int64_t committed = 0;
  unsigned longest_pause = 60000;  // microseconds; longer where a busy machine commits nothing between kills
  for (int kill = 0; kill < 40 || committed < 20; ++kill) {
    const pid_t first = spawn([&] { drain(path); });
    const pid_t second = spawn([&] { drain(path); });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % longest_pause));
    ::kill(first, SIGKILL);
    ::kill(second, SIGKILL);
    wait_for(first);
    wait_for(second);
    Store store(path, Mode::write);
    store.verify();
    BeatWatch watch(seconds(3600));
    store.reclaim(watch, BeatWatch::Clock::now());
    auto counts = store.counts();
    REQUIRE(counts[State::running] == 0);
    REQUIRE(counts[State::done] >= committed);
    if (counts[State::done] == committed) longest_pause += longest_pause / 8;
    committed = counts[State::done];
    store.forgive_crashes();
  }
}

TEST_CASE_METHOD(Fixture,
                 "F4: whatever room a full disk leaves, a commit is there as a whole or not at all") {
  Store store(path, Mode::create);
  store.add(test_runs(2));
  REQUIRE(store.commit(*store.acquire("me", 0), done(2)));
  const auto lease = store.acquire("me", 0);
  Outcome large = done(3);
  large.end = fmt::format(R"({{"x":"{}"}})", std::string(100000, 'x'));
  const auto size = std::filesystem::file_size(path);
  int refused = 0;
  for (rlim_t room = 0; room < 120000; room += 4096) {
    {
      const FullDisk disk(size + room);
      try {
        if (store.commit(*lease, large)) break;
      } catch (const Error& error) {
        ++refused;
        REQUIRE(error.exit_code == Exit::failed);
        REQUIRE_THAT(error.what(), Contains(path.native()));
      }
    }
    store.verify();
    REQUIRE(store.counts() == std::map<State, std::int64_t>{{State::done, 1}, {State::running, 1}});
  }
  REQUIRE(refused > 10);
  REQUIRE(store.counts() == std::map<State, std::int64_t>{{State::done, 2}});
  store.verify();
  REQUIRE(list_directory(folder.path()) == std::vector<std::string>{path.filename().native()});
}

TEST_CASE_METHOD(Fixture, "F9: eight processes of two sweeps commit every run of a store exactly once") {
  constexpr int kRuns = 8 * 200;
  {
    std::vector<RunSpec> runs = test_runs(kRuns);
    for (std::size_t i = 0; i < runs.size(); i += 2) runs[i].sweep = "other";
    Store(path, Mode::create).add(runs);
  }
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const Path commits = folder.path() / fmt::format("commits-{}", i);
    children.push_back(spawn([&, i] { drain(path, i % 2 == 0 ? "t" : "other", commits); }));
  }
  for (const pid_t child : children) REQUIRE(wait_for(child) == 0);  // no "database is locked" among them
  std::map<std::string, int> committed;
  for (int i = 0; i < 8; ++i) {
    std::ifstream lines(folder.path() / fmt::format("commits-{}", i));
    for (std::string identity; lines >> identity;) ++committed[identity];
  }
  REQUIRE(committed.size() == kRuns);
  for (const auto& [identity, times] : committed) REQUIRE(times == 1);
  const Store store(path, Mode::read);
  REQUIRE(store.counts() == std::map<State, std::int64_t>{{State::done, kRuns}});
  for (const RunRow& run : store.runs()) REQUIRE(run.loss == 1.0 + static_cast<double>(run.spec.seed));
  store.verify();
}

TEST_CASE_METHOD(Fixture, "F12: network filesystems are refused with exit 7") {
  try {
    const Store store(path, Mode::create, [](const Path&) -> std::int64_t { return 0x6969; });
    FAIL("accepted NFS");
  } catch (const Error& error) {
    REQUIRE(error.exit_code == Exit::store_busy);
    REQUIRE_THAT(error.what(), Contains("NFS") && Contains("store merge"));
  }
  REQUIRE_FALSE(std::filesystem::exists(path));
}

TEST_CASE_METHOD(Fixture, "F13: a lease is taken over after missed beats; the sleeper finds it lost") {
  Store store(path, Mode::create);
  store.add(test_runs(1));
  const auto sleeper = store.acquire("another-machine 1 1", 0);
  BeatWatch watch(seconds(15));
  const auto start = BeatWatch::Clock::now();
  REQUIRE(store.reclaim(watch, start) == 0);
  REQUIRE(store.reclaim(watch, start + seconds(14)) == 0);
  REQUIRE(store.beat(*sleeper, 7));
  REQUIRE(store.reclaim(watch, start + seconds(16)) == 0);
  REQUIRE(store.reclaim(watch, start + seconds(30)) == 0);
  REQUIRE(store.reclaim(watch, start + seconds(31)) == 1);
  const auto taker = store.acquire("me", 0);
  REQUIRE(taker);
  REQUIRE_FALSE(store.beat(*sleeper, 8));
  REQUIRE_FALSE(store.commit(*sleeper, done(1)));
  REQUIRE_FALSE(store.release(*sleeper, true));
  REQUIRE(store.commit(*taker, done(2)));
  REQUIRE(store.runs()[0].loss == 2.0);
}

TEST_CASE_METHOD(Fixture, "F17: foreign, newer, older and damaged files are refused with the reason") {
  { Store(path, Mode::create).add(test_runs(1)); }
  REQUIRE_THROWS_WITH(Store(folder.path() / "none.db", Mode::read), Contains("there is no store"));
  { Database(path).execute("PRAGMA user_version=3"); }
  REQUIRE_THROWS_WITH(Store(path, Mode::write), Contains("schema 3") && Contains("schema 2"));
  { Database(path).execute("PRAGMA user_version=1"); }
  REQUIRE_THROWS_WITH(Store(path, Mode::read), Contains("schema 1") && Contains("schema 2"));
  { Database(path).execute("PRAGMA application_id=5"); }
  REQUIRE_THROWS_WITH(Store(path, Mode::write), Contains("no store of loglog"));
  std::ofstream(folder.path() / "text.db") << std::string(5000, 'x');
  REQUIRE_THROWS_AS(Store(folder.path() / "text.db", Mode::write), InputError);
  REQUIRE_THROWS_AS(Store(folder.path() / "text.db", Mode::create), InputError);
}

TEST_CASE_METHOD(Fixture, "listing, counting and leasing read no curves, however many runs there are") {
  constexpr int kRuns = 10000;
  Store store(path, Mode::create);
  std::vector<FinishedRun> results;
  for (int i = 0; i < kRuns; ++i) results.emplace_back(test_run(kRuns - 1 - i), done(2));
  store.import(results);
  store.add(test_runs(kRuns + 1));
  Database(path).execute("ALTER TABLE curve RENAME TO hidden");
  const std::vector<RunRow> runs = store.runs();
  REQUIRE(runs.size() == kRuns + 1);
  for (std::size_t i = 0; i < runs.size(); ++i) REQUIRE(runs[i].spec.seed == static_cast<std::int64_t>(i));
  REQUIRE(store.runs_by_sweep().size() == runs.size());
  REQUIRE(store.runs_of("t").size() == runs.size());
  REQUIRE(store.counts() == std::map<State, std::int64_t>{{State::done, kRuns}, {State::queued, 1}});
  REQUIRE(store.waiting().size() == 1);
  REQUIRE(store.acquire("me", 0)->spec.name == fmt::format("run-{}", kRuns));
  REQUIRE_THROWS(store.curve(1));
}
