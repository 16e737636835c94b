// What a sweep is expected to take, and when it is refused.
#include "sweep/plan.hpp"

#include "base/error.hpp"
#include "kernels/isa.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "sweep/runs.hpp"
#include "train/small_runs.hpp"

using namespace loglog;
using namespace loglog::sweep;
using Catch::Contains;

namespace {

constexpr double kPlenty = 1e12;

struct Fixture {
  TemporaryFolder folder;
  SweepSpec spec;
  PlanOptions options{kernels::select_table("auto"), 2, kPlenty};

  Fixture() {
    const Path tokens = folder.path() / "small.tok";
    write_small_tokens(tokens);
    spec = parse_sweep(
        "name = 'p'\nkind = 'grid'\ntokens = [2000, 4000, 64000]\n"
        "[[size]]\nname = 'a'\nlayers = 1\nwidth = 16\nheads = 2\n"
        "[[size]]\nname = 'b'\nlayers = 2\nwidth = 32\nheads = 2\n"
        "[train]\nbatch = 2\nlr = 0.01\n[model]\ncontext = 16\n[eval]\nevery = 50\ntokens = 512\n",
        "p.toml");
    spec.base.data.path = tokens.native();
  }
};

// "done" for all runs of a size.
void finish(Store& store, const Plan& plan, const std::string& size) {
  std::vector<FinishedRun> results;
  for (const Cell& cell : plan.cells)
    if (cell.spec.size == size) results.emplace_back(cell.spec, done(1));
  store.import(results);
}

}  // namespace

TEST_CASE_METHOD(Fixture, "a plan counts what is not finished, and only that is refused") {
  const Plan whole = make_plan(spec, options);
  REQUIRE(whole.cells.size() == 6);
  REQUIRE(whole.finished == 0);
  REQUIRE(whole.calibrations.size() == 2);
  double flops = 0, bytes_a = 0, bytes_b = 0;
  for (const Cell& cell : whole.cells) {
    flops += cell.spec.c;
    REQUIRE(cell.spec.seconds > 0);
    (cell.spec.size == "a" ? bytes_a : bytes_b) = cell.spec.memory_bytes;
  }
  REQUIRE(whole.flops == flops);
  REQUIRE(bytes_a < bytes_b);
  REQUIRE(whole.largest_bytes == bytes_b);
  REQUIRE_NOTHROW(require_affordable(whole, flops, bytes_b, whole.disk_bytes));
  REQUIRE_THROWS_WITH(require_affordable(whole, 0.99 * flops, kPlenty, kPlenty), Contains("--max-flops"));
  REQUIRE_THROWS_WITH(require_affordable(whole, 0, bytes_b - 1, kPlenty), Contains("b-D") && Contains("MiB"));
  REQUIRE_THROWS_WITH(require_affordable(whole, 0, kPlenty, whole.disk_bytes - 1), Contains("free there"));

  Store store(folder.path() / "s.db", Store::Mode::create);
  finish(store, whole, "b");
  for (const auto& [key, rate] : whole.calibrations) store.save_calibration(key, rate);
  options.store = &store;
  const Plan rest = make_plan(spec, options);
  REQUIRE(rest.finished == 3);
  REQUIRE(rest.calibrations.empty());  // the store knows them
  REQUIRE(rest.flops < flops);
  REQUIRE(rest.disk_bytes < whole.disk_bytes);
  REQUIRE_NOTHROW(require_affordable(rest, 0, bytes_a, kPlenty));
  spec.base.train.keep_every = 1;  // every checkpoint stays
  REQUIRE(make_plan(spec, options).disk_bytes > 2 * rest.disk_bytes);
  spec.base.train.keep_every = 0;

  finish(store, whole, "a");
  const Plan none = make_plan(spec, options);
  REQUIRE(none.finished == 6);
  REQUIRE(none.seconds == 0);
  REQUIRE_NOTHROW(require_affordable(none, 1, 0, 0));
}

TEST_CASE_METHOD(Fixture, "runs take all processors where memory has no room for one on each") {
  options.available_bytes = 1;
  for (const Cell& cell : make_plan(spec, options).cells) REQUIRE(cell.spec.threads == 2);
  options.processors = 1;
  for (const Cell& cell : make_plan(spec, options).cells) REQUIRE(cell.spec.threads == 1);
}

TEST_CASE_METHOD(Fixture,
                 "runs go side by side as far as there are others: the last one takes all processors") {
  const Plan whole = make_plan(spec, options);
  Store store(folder.path() / "s.db", Store::Mode::create);
  for (const auto& [key, rate] : whole.calibrations)
    store.save_calibration(key, "150 100");  // alone, side by side
  options.store = &store;
  for (const Cell& cell : make_plan(spec, options).cells) REQUIRE(cell.spec.threads == 1);
  std::vector<FinishedRun> results;
  for (std::size_t i = 1; i < whole.cells.size(); ++i) results.emplace_back(whole.cells[i].spec, done(1));
  store.import(results);
  const Plan last = make_plan(spec, options);
  REQUIRE(last.cells[0].spec.threads == 2);
  REQUIRE(last.seconds == Approx(last.cells[0].spec.seconds + 0.3));  // a worker starts
}

TEST_CASE_METHOD(Fixture, "a plan warns of data that is seen more than once, and names the worst run") {
  const Plan plan = make_plan(spec, options);
  REQUIRE(plan.warnings.size() == 1);
  REQUIRE_THAT(plan.warnings[0], Contains("2 of 6 runs") && Contains("D6.4e4") && Contains("epochs"));
}

TEST_CASE_METHOD(Fixture,
                 "a plan warns of batches that are too large for the tokens, and names the worst run") {
  spec.base.train.batch = 80;  // 1280 tokens a step
  const Plan plan = make_plan(spec, options);
  REQUIRE_THAT(plan.warnings.back(), Contains("2 of 6 runs are not as long as asked") &&
                                         Contains("a-D2000-s1") && Contains("2 steps of 1280 tokens"));
}

TEST_CASE_METHOD(Fixture, "variants that read the text another way are planned with what they read") {
  spec = parse_sweep(spec.text +
                         "[[variant]]\nname = 'all'\n"
                         "[[variant]]\nname = 'one'\ndata.mixture = 'first=1'\n"
                         "[[variant]]\nname = 'dropped'\ntrain.dropout = 0.1\n",
                     "p.toml");
  spec.base.data.path = (folder.path() / "small.tok").native();
  const Plan plan = make_plan(spec, options);
  const auto epochs_of = [&](const std::string& name) {
    for (const Cell& cell : plan.cells)
      if (cell.spec.name == name) return cell.epochs;
    return 0.0;
  };
  const double all = epochs_of("a-D6.4e4-all-s1"), one = epochs_of("a-D6.4e4-one-s1");
  REQUIRE(all > 1);
  REQUIRE(one == Approx(2 * all).epsilon(0.05));  // one of two sources of equal size
  REQUIRE(plan.calibrations.size() == 4);         // dropout takes time of its own, the mixture does not
}
