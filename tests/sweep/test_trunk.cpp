// Runs that share a trunk: which they are, and that a shared one ends as one that had been alone.
#include "sweep/trunk.hpp"

#include "base/error.hpp"
#include "model/count.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "sweep/training.hpp"
#include "train/small_runs.hpp"

using namespace loglog;
using namespace loglog::sweep;
using Catch::Contains;

namespace {

const FactsOf kData = [](const model::RunConfig&) { return DataFacts{256, "abc", 1e7}; };

// Three horizons of two sizes; steps of 64 tokens.
std::string sweep_text(const std::string& shared, const std::string& more = "") {
  return "name = 's'\nkind = 'grid'\ntokens = [1280, 6400, 2560]\n" + shared +
         "[[size]]\nname = 'a'\nlayers = 1\nwidth = 8\nheads = 1\n"
         "[[size]]\nname = 'b'\nlayers = 2\nwidth = 8\nheads = 1\n"
         "[model]\ncontext = 16\n"
         "[train]\nbatch = 4\nwarmup = 5\nschedule = 'wsd'\ndecay_share = 0.25\nmin_lr = 0\n"
         "[eval]\ntokens = 1024\n" +
         more;
}

std::vector<Cell> cells(const std::string& text, const FactsOf& facts = kData) {
  return expand(parse_sweep(text, "s.toml"), facts).cells;
}

const Cell& named(const std::vector<Cell>& list, const std::string& name) {
  for (const Cell& cell : list)
    if (cell.spec.name == name) return cell;
  throw std::runtime_error("no cell is called " + name);
}

// Trains all of them; losses by name.
std::map<std::string, double> train_all(const Path& folder, const std::string& text) {
  const Path tokens = folder / "t.tok";
  write_small_tokens(tokens);
  const std::string with_data = text + "[data]\npath = '" + tokens.native() + "'\n";
  SweepSpec spec = parse_sweep(with_data, "s.toml");
  DataReader data(spec.base);
  std::vector<RunSpec> runs;
  for (const Cell& cell : expand(spec, [&](const model::RunConfig& c) { return data(c).facts; }).cells)
    runs.push_back(cell.spec);
  const Path path = folder / "s.db";
  Store(path, Store::Mode::create).add(runs);
  work(path, {}, trainer({.isa = "scalar", .data = {}}));
  std::map<std::string, double> losses;
  const Store store(path, Store::Mode::read);
  for (const RunRow& run : store.runs()) {
    INFO(run.spec.name << ": " << run.error);
    REQUIRE(run.state == State::done);
    losses[run.spec.name] = *run.loss;
    CHECK_FALSE(store.kept_run(run.spec.identity));  // nothing is kept that nobody waits for
  }
  return losses;
}

}  // namespace

TEST_CASE("the longest of a family is its trunk, the others fork where they begin to decay") {
  const auto alone = cells(sweep_text("")), shared = cells(sweep_text("share_trunks = true\n"));
  REQUIRE(shared.size() == 6);
  for (const std::string size : {"a", "b"}) {
    const Cell& trunk = named(shared, size + "-D6400-s1");
    CHECK(trunk.spec.identity == named(alone, trunk.spec.name).spec.identity);
    CHECK(trunk.config.train.keep_at == "15,30");
    CHECK(trunk.spec.parent.empty());
    for (const auto& [tokens, steps] : {std::pair{"1280", 20}, {"2560", 40}}) {
      const Cell& fork = named(shared, size + "-D" + tokens + "-s1");
      CHECK(fork.spec.parent == trunk.spec.identity);
      CHECK(fork.config.train.steps == steps);
      CHECK(fork.spec.fork_step == steps * 3 / 4);
      CHECK(fork.spec.c == named(alone, fork.spec.name).spec.c);
      CHECK(own_flops(fork) == Approx(0.25 * fork.spec.c));
      CHECK(fork.spec.identity == model::identity(model::from_json(fork.spec.config, "t"), "abc"));
    }
  }
  CHECK(shared[0].spec.parent.empty());
  CHECK(shared[1].spec.parent.empty());  // a store takes parents before their children
}

TEST_CASE("a fork takes what rules say of its trunk") {
  const auto shared = cells(sweep_text("share_trunks = true\n", "[rules]\nlr = '1e-3 * (D / 6400)^-0.5'\n"));
  for (const Cell& cell : shared) CHECK(cell.config.train.lr == Approx(1e-3));
}

TEST_CASE("forks end with the bits of runs that had been alone") {
  const TemporaryFolder one, other;
  const auto alone = train_all(one.path(), sweep_text("")),
             shared = train_all(other.path(), sweep_text("share_trunks = true\n"));
  REQUIRE(alone.size() == 6);
  CHECK(alone == shared);
}

TEST_CASE("what has no constant part cannot be shared") {
  std::string cosine = sweep_text("share_trunks = true\n");
  cosine.replace(cosine.find("'wsd'"), 5, "'cosine'");
  CHECK_THROWS_WITH(cells(cosine), Contains("needs train.schedule = \"wsd\"") && Contains("\"cosine\""));
  std::string slow = sweep_text("share_trunks = true\n");
  slow.replace(slow.find("warmup = 5"), 10, "warmup = 0.3");
  CHECK_THROWS_WITH(cells(slow),
                    Contains("a-D1280-s1 would begin to decay at step 15") && Contains("30 steps"));
  CHECK_THROWS_WITH(cells(sweep_text("share_trunks = 3\n")), Contains("share_trunks must be true or false"));
}
