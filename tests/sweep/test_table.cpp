#include "sweep/table.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "real_runs.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::sweep;
using Catch::Contains;

namespace {

MergeCount merge(Store& store, const std::string& lines) {
  return store.import(read_jsonl(lines, "f").runs);
}

struct Fixture {
  TemporaryFolder folder;
  Store store{folder.path() / "s.db", Store::Mode::create};
  Fixture() {
    for (int i = 0; i < 3; ++i) store.import(std::vector<FinishedRun>{{real_run(i), real_result(i, 1.5)}});
    Outcome diverged = real_result(3, 1);
    diverged.state = State::diverged;
    diverged.loss.reset();
    diverged.error = "step 7";
    store.import(std::vector<FinishedRun>{{real_run(3), diverged}});
    const RunSpec waiting[] = {real_run(4)};
    store.add(waiting);
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "the table has counts, sources and hyperparameters, and names what has no loss") {
  const std::string csv = export_csv(store, Timing::yes);
  REQUIRE(std::count(csv.begin(), csv.end(), '\n') == 5);
  REQUIRE_THAT(csv, Catch::StartsWith("run,sweep,name,size,status,budget,C,N,D,loss,seed,"));
  REQUIRE_THAT(csv, Contains(",sources.gcide,") && Contains(",train.lr,") && Contains("tokens_per_s"));
  REQUIRE_THAT(csv, Contains("\"a, \"\"b\"\".tok\"") && Contains(",diverged,") && Contains("step 7"));
  REQUIRE_THAT(csv, !Contains("run-4"));
}

TEST_CASE_METHOD(Fixture, "stores with equal results export equal bytes, whatever the order and the speed") {
  Store other(folder.path() / "o.db", Store::Mode::create);
  Outcome diverged = real_result(3, 9);
  diverged.state = State::diverged;
  diverged.loss.reset();
  diverged.error = "step 7";
  other.import(std::vector<FinishedRun>{{real_run(3), diverged}});
  for (int i = 2; i >= 0; --i) other.import(std::vector<FinishedRun>{{real_run(i), real_result(i, 99)}});
  REQUIRE(export_csv(other, Timing::no) == export_csv(store, Timing::no));
  REQUIRE(export_jsonl(other, Timing::no) == export_jsonl(store, Timing::no));
  REQUIRE(export_csv(other, Timing::yes) != export_csv(store, Timing::yes));
}

TEST_CASE_METHOD(Fixture, "JSON lines make the store again, and merging twice changes nothing") {
  const std::string lines = export_jsonl(store, Timing::yes);
  Store other(folder.path() / "o.db", Store::Mode::create);
  REQUIRE(merge(other, lines).merged == 4);
  const MergeCount again = merge(other, export_jsonl(store, Timing::yes));
  REQUIRE(again.merged == 0);
  REQUIRE(again.known == 4);
  REQUIRE(export_jsonl(other, Timing::yes) == lines);
  REQUIRE(export_csv(other, Timing::yes) == export_csv(store, Timing::yes));
  const RunSpec planned[] = {real_run(0), real_run(4)};
  REQUIRE(other.add(planned) == 1);  // the sweep continues where it stopped
  other.verify();
}

TEST_CASE_METHOD(Fixture, "damaged lines are refused with their number") {
  Store other(folder.path() / "o.db", Store::Mode::create);
  const std::string lines = export_jsonl(store, Timing::yes);
  const std::string first = lines.substr(0, lines.find('\n') + 1);
  REQUIRE_THROWS_WITH(merge(other, first + "{\"schema\":1\n"), Contains("f:2"));
  REQUIRE_THROWS_WITH(merge(other, "{\"schema\":2}"), Contains("f:1") && Contains("schema"));
  std::string lossless = first;
  lossless.replace(lossless.find("\"loss\""), 6, "\"lost\"");
  REQUIRE_THROWS_WITH(merge(other, lossless), Contains("loss"));
  for (const auto& [what, value] : {std::pair("\"loss\":", "-2"),
                                    {"\"N\":", "0"},
                                    {"\"loss\":", "1e301"},
                                    // contradictions: the run's identity, its seed, the loss of its end event
                                    {"\"run\":", "\"0123\""},
                                    {"\"seed\":", "77"},
                                    {"\"N\":", "7"},
                                    {"\"D\":", "7"},
                                    {"\"C\":", "7"},
                                    {"\"status\":", "\"foo\""},
                                    {"\"status\":", "\"diverged\""},
                                    // of another kind, or impossible
                                    {"\"seed\":", "1.5"},
                                    {"\"budget\":", "-5"},
                                    {"\"budget\":", "\"5\""},
                                    {"\"seconds\":", "-1"},
                                    {"\"sweep\":", "null"},
                                    {"\"size\":", "3"},
                                    {"\"loss\":", "4.5"}}) {
    std::string wrong = first;
    const std::size_t begin = wrong.find(what) + std::string(what).size();
    wrong.replace(begin, wrong.find(',', begin) - begin, value);
    REQUIRE_THROWS_WITH(merge(other, first + wrong), Contains("f:2"));
  }
  std::string own_parent = first;
  own_parent.insert(1, "\"parent\":\"" + real_run(0).identity + "\",");
  REQUIRE_THROWS_WITH(merge(other, own_parent), Contains("f:1") && Contains("its own parent"));
  REQUIRE(merge(other, "\n \n").merged == 0);
  REQUIRE(other.runs().empty());  // all or nothing
}

TEST_CASE_METHOD(Fixture, "a last line that breaks off is named, and what stands before it is read") {
  const std::string lines = export_jsonl(store, Timing::yes);
  const std::size_t second = lines.find('\n') + 1, length = lines.find('\n', second) - second;
  for (const std::size_t written : {std::size_t{1}, length / 2, length - 1}) {
    const Lines<FinishedRun> torn = read_jsonl(lines.substr(0, second + written), "f");
    REQUIRE(torn.runs.size() == 1);
    REQUIRE(torn.torn == "f:2");
  }
  const Lines<FinishedRun> whole = read_jsonl(lines.substr(0, second + length), "f");  // but for its line end
  REQUIRE(whole.runs.size() == 2);
  REQUIRE(whole.torn.empty());
}

TEST_CASE_METHOD(Fixture,
                 "a failure elsewhere is kept where there is no result, in whatever order they come") {
  Outcome failure;
  failure.state = State::failed;
  failure.error = "out of memory";
  const std::string failed = result_line(real_run(5), failure, Timing::yes);
  const std::string succeeded = result_line(real_run(5), real_result(5, 1), Timing::yes);
  const std::string known = result_line(real_run(0), failure, Timing::yes);
  const MergeCount count = merge(store, failed + known);
  REQUIRE(count.merged == 1);
  REQUIRE(count.failures.size() == 1);
  REQUIRE(count.failures[0].error == "out of memory");
  REQUIRE(merge(store, failed).known == 1);
  REQUIRE(merge(store, succeeded).merged == 1);
  REQUIRE(merge(store, failed).known == 1);
  Store other(folder.path() / "o.db", Store::Mode::create);
  REQUIRE(merge(other, succeeded + failed).failures.empty());
  REQUIRE(other.counts() == std::map<State, std::int64_t>{{State::done, 1}});
  store.verify();
}

TEST_CASE_METHOD(Fixture, "planned runs come back as they were") {
  RunSpec fork = real_run(6);
  fork.parent = real_run(5).identity;
  fork.fork_step = 12;
  const Lines<RunSpec> planned = read_planned(planned_line(real_run(5)) + planned_line(fork), "f");
  REQUIRE(planned.runs.size() == 2);
  REQUIRE(planned.runs[0].identity == real_run(5).identity);
  REQUIRE(planned.runs[0].config == real_run(5).config);
  REQUIRE(planned.runs[1].parent == fork.parent);
  REQUIRE(planned.runs[1].fork_step == 12);
  REQUIRE(planned.runs[1].c == fork.c);
}

TEST_CASE_METHOD(Fixture, "what an end event calls by the name of a column does not take its place") {
  Outcome sly = real_result(5, 1);
  sly.end.insert(1, R"("N":7,"sweep":"evil","loss":99,)");
  store.import(std::vector<FinishedRun>{{real_run(5), sly}});
  REQUIRE_THAT(export_csv(store, Timing::yes), !Contains("evil") && !Contains(",99,"));
}

TEST_CASE_METHOD(Fixture, "a store whose texts are damaged is a bad input that names the run") {
  Database(store.path()).execute("UPDATE result SET end = substr(end, 1, 9)");
  REQUIRE_THROWS_AS(export_csv(store, Timing::yes), InputError);
  REQUIRE_THROWS_WITH(export_jsonl(store, Timing::yes), Contains("the end event of run"));
}

TEST_CASE_METHOD(Fixture, "a run of two sweeps is in the tables of both, and a merge keeps that") {
  std::vector<RunSpec> others = {real_run(0), real_run(4)};
  for (RunSpec& run : others) run.sweep = "other", run.name += " again";
  store.add(others);
  const std::string lines = export_jsonl(store, Timing::yes);
  REQUIRE(std::count(lines.begin(), lines.end(), '\n') == 5);
  REQUIRE_THAT(export_csv(store, Timing::yes), Contains(",other,run-0 again,"));
  Store copy(folder.path() / "o.db", Store::Mode::create);
  const MergeCount count = merge(copy, lines);
  REQUIRE(count.merged == 4);
  REQUIRE(count.known == 1);
  REQUIRE(export_jsonl(copy, Timing::yes) == lines);
  REQUIRE(copy.runs_of("other").size() == 1);
}

TEST_CASE("a table without runs has its header") {
  const TemporaryFolder folder;
  const Store store(folder.path() / "s.db", Store::Mode::create);
  REQUIRE(export_csv(store, Timing::no) == "run,sweep,name,size,status,budget,C,N,D,loss,seed\n");
}
