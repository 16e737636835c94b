#include "sweep/table.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "model/config.hpp"
#include "model/count.hpp"
#include "runs.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::sweep;
using Catch::Contains;

namespace {

// Runs with real configurations, so that their identity can be computed anew.
RunSpec real_run(int i) {
  model::RunConfig config;
  config.train.seed = static_cast<std::uint64_t>(i);
  config.data.path = "a, \"b\".tok";
  config.model.vocab = 256;
  config.train.steps = 20;
  RunSpec spec = test_run(i);
  spec.n = model::count_parameters(config.model).n_matrix;
  spec.d = static_cast<double>(config.train.steps * config.train.batch * config.model.context);
  spec.c = spec.d * model::count_flops_per_token(config.model).math;
  spec.config = model::to_json(config);
  spec.identity = model::identity(config, spec.data_checksum);
  return spec;
}

Outcome result(int i, double seconds) {
  Outcome outcome = done(2.0 + 0.1 * i);
  outcome.seconds = seconds;
  outcome.end = fmt::format(
      R"({{"event":"end","val_loss":{0},"n_total":7,"sources":{{"gcide":{0}}},"seconds":{1},"tokens_per_s":{1}}})",
      *outcome.loss, seconds);
  return outcome;
}

MergeCount merge(Store& store, const std::string& lines) {
  return store.import(read_jsonl(lines, "f"));
}

struct Fixture {
  TemporaryFolder folder;
  Store store{folder.path() / "s.db", Store::Mode::create};
  Fixture() {
    for (int i = 0; i < 3; ++i) store.import(std::vector<FinishedRun>{{real_run(i), result(i, 1.5)}});
    Outcome diverged = result(3, 1);
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
  Outcome diverged = result(3, 9);
  diverged.state = State::diverged;
  diverged.loss.reset();
  diverged.error = "step 7";
  other.import(std::vector<FinishedRun>{{real_run(3), diverged}});
  for (int i = 2; i >= 0; --i) other.import(std::vector<FinishedRun>{{real_run(i), result(i, 99)}});
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
  REQUIRE_THROWS_WITH(merge(other, first + "{\"schema\":1"), Contains("f:2"));
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
  REQUIRE_THROWS_WITH(merge(other, "\n \n"), Contains("f holds no results"));
  REQUIRE(other.runs().empty());  // all or nothing
}

TEST_CASE_METHOD(Fixture, "what an end event calls by the name of a column does not take its place") {
  Outcome sly = result(5, 1);
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
