#include "sweep/grid.hpp"

#include <cmath>
#include <fstream>
#include <set>

#include "base/error.hpp"
#include "model/count.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::sweep;
using Catch::Contains;

namespace {

const FactsOf kData = [](const model::RunConfig&) { return DataFacts{256, "abc", 1e7}; };

const std::string kSizes =
    "[[size]]\nname = 'a'\nlayers = 1\nwidth = 32\nheads = 2\n"
    "[[size]]\nname = 'd'\nlayers = 2\nwidth = 64\nheads = 4\n";

SweepSpec parse(const std::string& text) {
  return parse_sweep(text, "s.toml");
}
std::vector<Cell> cells(const std::string& text) {
  return expand(parse(text), kData).cells;
}

}  // namespace

TEST_CASE("a grid is sizes x tokens x seeds") {
  const auto runs = cells("name = 'g'\nkind = 'grid'\ntokens = [1e5, 2e6]\nseeds = [1, 5]\n" + kSizes +
                          "[train]\nbatch = 8\n[model]\ncontext = 64\n");
  REQUIRE(runs.size() == 8);
  REQUIRE(runs[0].spec.name == "a-D1e5-s1");
  REQUIRE(runs[3].spec.name == "a-D2e6-s5");
  REQUIRE(runs[0].config.train.steps == 195);
  REQUIRE(runs[0].spec.d == 195 * 512);
  REQUIRE(runs[7].config.train.seed == 5);
  REQUIRE(runs[7].config.model.vocab == 256);
  REQUIRE(runs[2].epochs == Approx(0.2).epsilon(0.01));
  std::set<std::string> identities;
  for (const Cell& run : runs) identities.insert(run.spec.identity);
  REQUIRE(identities.size() == 8);
  REQUIRE(runs[0].spec.identity == model::identity(model::from_json(runs[0].spec.config, "t"), "abc"));
}

TEST_CASE("IsoFLOP cells spend their budget by the exact count") {
  const auto runs = cells("name = 'i'\nkind = 'isoflop'\nbudgets = [1e12, {flops = 3e12, sizes = ['d']}]\n" +
                          kSizes + "[rules]\nbatch = 'max(1, round(D / 1e6))'\n");
  REQUIRE(runs.size() == 3);
  for (const Cell& run : runs) {
    const double c = run.spec.d * model::count_flops_per_token(run.config.model).math;
    REQUIRE(run.spec.c == c);
    REQUIRE(c == Approx(run.spec.budget).epsilon(0.5 / static_cast<double>(run.config.train.steps)));
    REQUIRE(run.spec.n == model::count_parameters(run.config.model).n_matrix);
  }
  REQUIRE(runs[2].spec.name == "d-C3e12-s1");
}

TEST_CASE("every point is trained in each variant, at equal FLOPs where a budget is given") {
  const auto runs = cells("name = 'v'\nkind = 'isoflop'\nbudgets = [1e12]\n" + kSizes +
                          "[[variant]]\nname = 'base'\n"
                          "[[variant]]\nname = 'gated'\nmodel.mlp = 'swiglu'\nmodel.bias = false\n"
                          "train.lr = 0.5\n");
  REQUIRE(runs.size() == 4);
  REQUIRE(runs[0].spec.name == "a-C1e12-base-s1");
  REQUIRE(runs[3].spec.name == "d-C1e12-gated-s1");
  REQUIRE(runs[3].spec.size == "d-gated");
  REQUIRE(runs[3].config.model.mlp == "swiglu");
  REQUIRE_FALSE(runs[3].config.model.bias);
  REQUIRE(runs[3].config.train.lr == 0.5);
  REQUIRE(runs[1].config.model.mlp == "gelu");
  REQUIRE(runs[3].spec.n != runs[1].spec.n);  // its own parameters, so its own tokens
  REQUIRE(runs[3].spec.d != runs[1].spec.d);
  for (const Cell& run : runs) REQUIRE(run.spec.c == Approx(1e12).epsilon(0.01));
}

TEST_CASE("mistakes in variants name line, key and what would be right") {
  const auto refuse = [](const std::string& variant, const std::string& what) {
    REQUIRE_THROWS_WITH(parse("name = 'v'\nkind = 'grid'\ntokens = [1e5]\n" + kSizes + variant),
                        Contains(what));
  };
  refuse("[[variant]]\nmodel.mlp = 'relu'\n", "'name' is missing");
  refuse("[[variant]]\nname = 'x'\n[[variant]]\nname = 'x'\n", "variant 'x' is there twice");
  refuse("[[variant]]\nname = 'x'\nmodel.mpl = 'relu'\n", "did you mean 'model.mlp'");
  refuse("[[variant]]\nname = 'x'\nmodel.mlp = 'rleu'\n", "must be one of");
  refuse("[[variant]]\nname = 'x'\nmodel.width = 32\n", "follows from the sweep's [[size]]");
  refuse("[[variant]]\nname = 'x'\nmodle.mlp = 'relu'\n", "did you mean 'model'");
  refuse("[[variant]]\nname = 'a/b'\n", "plain word");
  refuse("[variant]\nname = 'x'\n", "must be a list");
}

TEST_CASE("rules see the cell and each other") {
  const auto runs = cells("name = 'r'\nkind = 'grid'\ntokens_per_parameter = [20]\n" + kSizes +
                          "[train]\nbatch = 4\n[vary]\nx = [0.01, 0.02]\n"
                          "[rules]\nlr = 'x * (N_nonemb / 12288)^-0.5'\nmin_lr = '0.1 * lr'\nwarmup = 0.07\n"
                          "seeds = '1 + (width < 64)'\nkeep = 'steps >= 100 and D / N > 19'\n");
  REQUIRE(runs.size() == 6);
  REQUIRE(runs[0].config.train.lr == 0.01);
  REQUIRE(runs[0].config.train.min_lr == 0.001);
  REQUIRE(runs[0].config.train.warmup == 0.07);
  REQUIRE(runs[1].spec.seed == 2);
  REQUIRE(runs[5].config.train.lr == 0.007071);  // rounded to 4 digits
  REQUIRE_THAT(runs[5].spec.name, Contains("-x0.02-s1"));
}

TEST_CASE("a variant has as much data as it reads, and no text of its own") {
  const std::string head = "name = 'v'\nkind = 'grid'\ntokens = [1e5]\n" + kSizes +
                           "[train]\nbatch = 1\n[rules]\nwarmup = 'epochs / 100'\n"
                           "[[variant]]\nname = 'short'\n[[variant]]\nname = 'long'\nmodel.context = 256\n";
  const auto facts_of = [](const model::RunConfig& c) {
    return DataFacts{256, "abc", c.model.context == 256 ? 5e4 : 1e5};
  };
  const auto runs = expand(parse(head), facts_of).cells;
  REQUIRE(runs.size() == 4);
  REQUIRE(runs[0].epochs == Approx(1).epsilon(1e-3));
  REQUIRE(runs[2].epochs == Approx(2).epsilon(1e-2));
  REQUIRE(runs[2].config.train.warmup == Approx(0.02).epsilon(1e-2));
  REQUIRE_THROWS_WITH(parse(head + "[[variant]]\nname = 'x'\ndata.path = 'y.tok'\n"),
                      Contains("s.toml:") && Contains("another sweep"));
}

TEST_CASE("keep drops cells, and a sweep without any is an error") {
  const std::string head = "name = 'k'\nkind = 'grid'\ntokens = [1e5, 1e6]\n" + kSizes;
  REQUIRE(cells(head + "[rules]\nkeep = 'D > 5e5'\n").size() == 2);
  REQUIRE(expand(parse(head + "[rules]\nkeep = 'D > 5e5'\n"), kData).left_out.size() == 2);
  REQUIRE_THROWS_WITH(
      cells(head + "[rules]\nkeep = 'D > 1e99'\n"),
      Contains("keep = \"D > 1e99\" leaves out all 4 points") && Contains("tokens to train on"));
}

TEST_CASE("a sweep file extends another, key by key in tables") {
  const TemporaryFolder folder;
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(folder.path() / name) << text;
    return folder.path() / name;
  };
  write("base.toml", "name = 'base'\nkind = 'grid'\ntokens = [1e5, 2e5]\n" + kSizes +
                         "[train]\nbatch = 4\nlr = 0.01\n[rules]\nwarmup = 0.1\n");
  const SweepSpec spec = read_sweep(
      write("half.toml", "extends = 'base.toml'\nname = 'half'\ntokens = [3e5]\n[train]\nbatch = 2\n"));
  REQUIRE(spec.name == "half");
  REQUIRE(spec.tokens == std::vector<double>{3e5});
  REQUIRE(spec.sizes.size() == 2);
  REQUIRE(spec.base.train.batch == 2);
  REQUIRE(spec.base.train.lr == 0.01);
  REQUIRE(spec.rules.size() == 1);
  REQUIRE_THAT(spec.text, Contains("batch = 2") && Contains("batch = 4"));
  // Through two files; messages point at the one that is wrong.
  REQUIRE(read_sweep(write("third.toml", "extends = 'half.toml'\nname = 'third'\n")).tokens.size() == 1);
  write("base.toml", "kind = 'grid'\ntokens = [-1]\n" + kSizes);
  REQUIRE_THROWS_WITH(read_sweep(write("bad.toml", "\n\n\nextends = 'base.toml'\nname = 'bad'\n")),
                      Contains("base.toml:2") && Contains("positive"));
  REQUIRE_THROWS_WITH(read_sweep(write("loop.toml", "extends = 'loop.toml'\n")), Contains("leads back"));
  REQUIRE_THROWS_WITH(read_sweep(write("number.toml", "extends = 1\n")), Contains("number.toml:1"));
  REQUIRE_THROWS_AS(read_sweep(write("none.toml", "extends = 'no.toml'\n")), InputError);
}

TEST_CASE("mistakes in sweep files name line, key and what would be right") {
  const std::string good = "name = 'g'\nkind = 'grid'\ntokens = [1e5]\n" + kSizes;
  REQUIRE_THROWS_WITH(parse("nmae = 'g'\n" + good), Contains("s.toml:1") && Contains("did you mean 'name'"));
  REQUIRE_THROWS_WITH(parse(good + "[rules]\nlearn = '1'\n"), Contains("learn") && Contains("lr"));
  REQUIRE_THROWS_WITH(parse(good + "[rules]\nlr = '1 +'\n"), Contains("rules.lr") && Contains("position"));
  REQUIRE_THROWS_WITH(parse(good + "[train]\nbatc = 3\n"), Contains("train.batch"));
  REQUIRE_THROWS_WITH(parse("name = 'g'\nkind = 'isoflop'\n" + kSizes), Contains("budgets"));
  REQUIRE_THROWS_WITH(parse("name = 'g'\nkind = 'cube'\n" + kSizes), Contains("\"grid\""));
  REQUIRE_THROWS_WITH(parse("name = 'g'\nkind = 'grid'\ntokens = [1e5]\n"), Contains("'size' is missing"));
  REQUIRE_THROWS_WITH(parse("name = 'g'\nkind = 'grid'\ntokens = [-1]\n" + kSizes), Contains("positive"));
  REQUIRE_THROWS_WITH(parse(good + kSizes), Contains("twice"));
  REQUIRE_THROWS_WITH(cells(good + "[rules]\nlr = '0.1 * M'\n"), Contains("'M'") && Contains("N_nonemb"));
  REQUIRE_THROWS_WITH(cells(good + "[rules]\nlr = '1 / 0'\n"), Contains("inf"));
  REQUIRE_THROWS_WITH(cells(good + "[rules]\nlr = '-1'\n"), Contains("train.lr"));
  REQUIRE_THROWS_WITH(cells(good + "[vary]\nx = [1, 2]\n"), Contains("the same run"));
  REQUIRE_THROWS_WITH(cells(good + "[vary]\nN = [1, 2]\n"), Contains("[vary] N"));
  REQUIRE_THROWS_AS(read_sweep("/nonexistent.toml"), InputError);
}

TEST_CASE("errors of rules and sizes say where they stand, also from an extended file") {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder.path() / name) << text;
    return folder.path() / name;
  };
  const auto expanded = [&](const std::string& child) {
    return expand(read_sweep(write("child.toml", "extends = 'base.toml'\n" + child)), kData);
  };
  const std::string base = "name = 'g'\nkind = 'grid'\ntokens = [1e5]\n[train]\nbatch = 8\n" + kSizes;
  write("base.toml", base + "[rules]\nlr = '1 / (N < 0)'\n");
  REQUIRE_THROWS_WITH(expanded(""), Contains("base.toml:17: rules.lr = \"1 / (N < 0)\" gives inf"));
  write("base.toml", base + "[rules]\nlr = 'N_foo'\n");
  REQUIRE_THROWS_WITH(expanded(""), Contains("base.toml:17: rules.lr") && Contains("N_foo"));
  for (const char* value : {"1e-310", "exp(-740)", "1.79769e308"}) {
    write("base.toml", base + "[rules]\nlr = '" + value + "'\n");
    REQUIRE_THROWS_WITH(expanded(""), Contains("base.toml:17: rules.lr") && Contains("finite"));
  }
  write("base.toml", base + "[[size]]\nname = 'odd'\nlayers = 1\nwidth = 15\nheads = 2\n");
  REQUIRE_THROWS_WITH(expanded(""), Contains("base.toml:16: odd-D1e5") && Contains("model.heads (2)"));
  REQUIRE_THROWS_WITH(read_sweep(write("child.toml", "extends = 'gone.toml'\n")),
                      Contains("child.toml:1: extends: cannot read") && Contains("gone.toml"));
}

TEST_CASE("a key that would be without effect is refused; a child's value takes the place of a base's rule") {
  const std::string grid = "name = 'g'\nkind = 'grid'\ntokens = [1e5]\n" + kSizes;
  REQUIRE_THROWS_WITH(parse(grid + "[model]\nwidth = 99\n"), Contains("s.toml:15: model.width follows from"));
  REQUIRE_THROWS_WITH(parse(grid + "[train]\nsteps = 5\n"), Contains("train.steps follows from"));
  REQUIRE_THROWS_WITH(parse(grid + "[train]\nseed = 5\n"), Contains("train.seed follows from"));
  REQUIRE_THROWS_WITH(parse(grid + "[train]\nlr = 0.1\n[rules]\nlr = '0.2'\n"),
                      Contains("train.lr is also a rule at s.toml:17"));
  REQUIRE_THROWS_WITH(parse("seeds = [1]\n" + grid + "[rules]\nseeds = '2'\n"),
                      Contains("s.toml:1: seeds is also a rule"));

  const TemporaryFolder folder;
  std::ofstream(folder.path() / "base.toml")
      << grid << "[train]\nbatch = 8\n[rules]\nseeds = '2'\nlr = '0.02'\n";
  const auto child = [&](const std::string& text) {
    return parse_sweep("extends = 'base.toml'\n" + text, (folder.path() / "child.toml").native());
  };
  REQUIRE(expand(child("seeds = [7, 8, 9]\n"), kData).cells.size() == 6);
  REQUIRE(expand(child("[train]\nlr = 0.5\n"), kData).cells[0].config.train.lr == 0.5);
  REQUIRE(expand(child("[rules]\nbatch = '4'\n"), kData).cells[0].config.train.batch == 4);
}

TEST_CASE("names tell runs and files apart") {
  const std::string rest = "kind = 'grid'\ntokens = [100000, 100049]\n[train]\nbatch = 1\n" + kSizes;
  REQUIRE_THROWS_WITH(cells("name = 'g'\n" + rest + "[model]\ncontext = 16\n"),
                      Contains("two runs are called 'a-D1e5-s1'"));
  for (const char* name : {"", "-x", ".", "..", "a/b", "a\\nb", "\\u0000"})
    REQUIRE_THROWS_WITH(parse("name = \"" + std::string(name) + "\"\n" + rest), Contains("plain word"));
}

TEST_CASE("an arm is the sweep with other keys") {
  const std::string text =
      "name = 'g'\nkind = 'grid'\ntokens = [1e5]\nseeds = [1, 2]\n" + kSizes +
      "[rules]\nlr = '1e-3'\n[train]\nbatch = 8\n[model]\ncontext = 64\n"
      "[arm.late]\ntrain.schedule = 'cosine'\nrules.horizon = '10 * steps'\nrules.seeds = '1'\n"
      "[arm.flat]\ntrain.lr = 0.5\n";
  const auto plain = expand(parse_sweep(text, "s.toml"), kData).cells;
  const auto late = expand(parse_sweep(text, "s.toml", "late"), kData).cells;
  REQUIRE(plain.size() == 4);
  REQUIRE(late.size() == 2);
  CHECK(late[0].spec.sweep == "g-late");
  CHECK(late[0].config.train.horizon == 10 * late[0].config.train.steps);
  CHECK(late[0].config.train.lr == 1e-3);
  CHECK(late[0].spec.identity != plain[0].spec.identity);
  const auto flat = expand(parse_sweep(text, "s.toml", "flat"), kData).cells;  // a value in place of a rule
  CHECK(flat[0].config.train.lr == 0.5);
  CHECK(flat.size() == 4);
  CHECK_THROWS_WITH(parse_sweep(text, "s.toml", "flt"), Contains("arm of s.toml") && Contains("flat"));
}
