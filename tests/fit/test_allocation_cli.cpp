// loglog fit allocate, convert, design, power and test, from outside.
#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file.hpp"
#include "fit/synthetic.hpp"
#include "support/catch.hpp"
#include "support/program.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

std::string sweep_file(const Path& folder, const std::string& name = "runs.csv", const Truth& truth = {}) {
  const fit::Runs runs = lab_sweep(0.003, 2, truth);
  std::ofstream file(folder / name);
  file << "N,D,loss\n";
  file.precision(17);
  for (std::size_t i = 0; i < runs.loss.size(); ++i)
    file << runs.columns[0][i] << ',' << runs.columns[1][i] << ',' << runs.loss[i] << '\n';
  return (folder / name).string();
}

Outcome run(const Path& folder, const std::string& arguments) {
  return run_program(folder, "fit " + arguments);
}

const std::string kLaw = " --law chinchilla --bootstrap 30 --input ";

}  // namespace

TEST_CASE("allocate answers in JSON, in a file and in words") {
  const TemporaryFolder folder;
  const std::string input = kLaw + sweep_file(folder.path());
  const Outcome outcome =
      run(folder.path(), "allocate --flops 1e16,1e18 --within 0.5% --size 1e7 --json -o " +
                             (folder.path() / "a.json").string() + input);
  REQUIRE(outcome.code == 0);
  CHECK(read_text(folder.path() / "a.json") == outcome.out);
  const json answer = json::parse(outcome.out);
  CHECK(answer["within"] == 0.005);
  REQUIRE(answer["allocations"].size() == 2);
  for (const json& a : answer["allocations"]) {
    CHECK(a["N"]["lo"] < a["N"]["value"]);
    CHECK(a["N"]["value"] < a["N"]["hi"]);
    CHECK(a["indifferent"]["lo"] < a["N"]["value"]);
    CHECK(a["indifferent"]["hi"] > a["N"]["value"]);
    CHECK(a["misallocation"][0]["N"] == 1e7);
  }
  CHECK_FALSE(answer.contains("effective_compute"));
  CHECK_THAT(run(folder.path(), "allocate --flops 1e16" + input).out,
             Contains("come within 0.1% of that loss"));
  // Against itself a recipe is no better.
  const Outcome same = run(folder.path(), "allocate --flops 1e16 --json --against " +
                                              (folder.path() / "runs.csv").string() + input);
  CHECK(json::parse(same.out)["effective_compute"][0]["multiplier"]["value"].get<double>() ==
        Approx(1).epsilon(1e-6));
  CHECK(run(folder.path(), "allocate --flops 1e16 --threads 2 --json" + input).out ==
        run(folder.path(), "allocate --flops 1e16 --json" + input).out);
}

TEST_CASE("convert takes a formula or shapes, runs or constants") {
  const TemporaryFolder folder;
  const std::string constants = " --law chinchilla --constants E=1.2,A=60,alpha=0.35,B=200,beta=0.37";
  std::ofstream(folder.path() / "shapes.csv") << "layers,width,heads,vocab,context\n2,32,2,1024,256\n3,48,3,"
                                                 "1024,256\n4,64,4,1024,256\n6,128,8,1024,256\n";
  const std::string given = "--shapes " + (folder.path() / "shapes.csv").string();
  const Outcome shapes = run(folder.path(), "convert " + given + " --flops 2e12:2e13 --json" + constants);
  REQUIRE(shapes.code == 0);
  const json answer = json::parse(shapes.out);
  CHECK(answer["exponents"]["law"]["value"].get<double>() <
        answer["exponents"]["other"]["value"].get<double>());
  CHECK(answer["exponents"]["gap"]["lo"].is_null());
  CHECK(answer["other_count"]["points"].size() == 50);
  // Counted alike there is no gap.
  const Outcome alike =
      run(folder.path(), "convert " + given + " --to n_matrix,math --flops 2e12:2e13 --json" + constants);
  CHECK(json::parse(alike.out)["exponents"]["gap"]["value"].get<double>() == Approx(0).margin(1e-6));
  const Outcome formula =
      run(folder.path(), "convert --law-count 'N+500*N^(1/3)' --sizes 1e2:1e9 --flops 1e12:1e15" + kLaw +
                             sweep_file(folder.path()));
  CHECK(formula.code == 0);
  CHECK_THAT(formula.out, Contains("gap") && Contains("local a"));
  const auto refused = [&](const std::string& arguments, const std::string& why) {
    INFO(arguments);
    const Outcome outcome = run(folder.path(), "convert " + arguments);
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains(why));
  };
  refused("--flops 1e12:1e15" + constants, "--law-count FORMULA or --shapes FILE");
  refused(given + " --flops 1e15" + constants, "LOW:HIGH");
  refused(given + " --flops 1e15:1e12" + constants, "not below HIGH");
  refused(given + " --to n_nonembed,kaplan --flops 2e12:2e13" + constants, "did you mean 'n_nonemb'");
  refused(given + " --flops 2e12:2e13 --law chinchilla", "--input runs.csv or --constants");
  refused(given + " --flops 2e12:2e30" + constants, "give other budgets");
}

TEST_CASE("design names runs inside the trust region and a plan inside the budget") {
  const TemporaryFolder folder;
  const std::string input = kLaw + sweep_file(folder.path());
  const Outcome outcome =
      run(folder.path(),
          "design --target N=1e8,D=2e9 --candidates '1e3,1e6,1e7 x 2,20' --budget 1e16 --json" + input);
  REQUIRE(outcome.code == 0);
  const json answer = json::parse(outcome.out);
  CHECK(answer["candidates"].size() == 6);
  CHECK_FALSE(answer["candidates"][0].contains("outside"));
  CHECK(answer["candidates"][5].contains("outside"));
  for (const json& c : answer["plan"]["runs"]) CHECK(c["N"] != 1e3);
  CHECK_THAT(run(folder.path(), "design --target N=1e8,D=2e9" + input).out, Contains("per FLOP"));
  CHECK(run(folder.path(), "design --target N=1e8" + input).code == 2);
  CHECK(run(folder.path(), "design --target N=1e8,D=2e9 --candidates 1e3" + input).code == 2);
  CHECK(run(folder.path(), "design --target N=1e8,D=2e9 --candidates '1e2 x 1'" + input).code == 6);
  CHECK(run(folder.path(), "design --target N=1e8,D=2e9 --trust 0.5" + input).code == 2);
}

TEST_CASE("power and test") {
  const TemporaryFolder folder;
  const std::string input = kLaw + sweep_file(folder.path());
  const Outcome power = run(folder.path(), "power --quantity a --width 0.001 --json" + input);
  REQUIRE(power.code == 0);
  CHECK(json::parse(power.out)["runs"]["needed"].get<double>() > 100);
  CHECK_THAT(run(folder.path(), "power --quantity gamma --width 1" + input).err,
             Contains("has no gamma; it has E"));
  const Truth t;
  const auto constants = [&](double alpha) {
    return fmt::format(" --constants E={},A={},alpha={},B={},beta={}", t.E, t.A, alpha, t.B, t.beta);
  };
  const Outcome right = run(folder.path(), "test --json" + constants(t.alpha) + input),
                wrong = run(folder.path(), "test --json" + constants(0.33) + input);
  REQUIRE(right.code == 0);
  CHECK(json::parse(right.out)["huber"]["p"].get<double>() > 0.001);
  CHECK(json::parse(wrong.out)["huber"]["p"].get<double>() < 1e-6);
  CHECK_THAT(run(folder.path(), "test --constants E=1" + input).err, Contains("5 free parameters, not 1"));
  CHECK(run(folder.path(), "test" + input).code == 2);
}

TEST_CASE("the Step Law is a procedure like the others") {
  const TemporaryFolder folder;
  CHECK_THAT(run(folder.path(), "list").out, Contains("step-law"));
  CHECK_THAT(run(folder.path(), "--law chinchilla --within 0.02 --input " + sweep_file(folder.path())).err,
             Contains("it is for step-law"));
}
