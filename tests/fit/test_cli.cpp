// The command itself: exit codes, where output goes, and files.
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

namespace {

Outcome run(const Path& folder, const std::string& arguments) {
  return run_program(folder, "fit " + arguments);
}

Path sweep_file(const Path& folder) {
  const fit::Runs runs = lab_sweep(0.003, 2);
  std::ofstream file(folder / "runs.csv");
  file << "size,C,loss,status\n";
  file.precision(17);
  for (int i = 0; i < runs.size(); ++i) {
    const auto k = static_cast<std::size_t>(i);
    file << runs.columns[0][k] << ',' << 6 * runs.columns[0][k] * runs.columns[1][k] << ',' << runs.loss[k]
         << ",done\n";
  }
  file << "1,1,nan,diverged\n";
  return folder / "runs.csv";
}

}  // namespace

TEST_CASE("a fit from the command line: JSON on stdout and in the file, talk on stderr") {
  const TemporaryFolder folder;
  const Path csv = sweep_file(folder.path());
  const std::string common =
      "--law chinchilla --input " + csv.string() + " --map N=size --derive 'D=C/(6*N)' --bootstrap 20";
  const Outcome json = run(folder.path(), common + " --json -o " + (folder.path() / "fit.json").string());
  REQUIRE(json.code == 0);
  const auto parsed = nlohmann::json::parse(json.out);
  REQUIRE(parsed["n"] == 40);
  REQUIRE(parsed["excluded"].size() == 1);
  REQUIRE(read_text(folder.path() / "fit.json") == json.out);
  REQUIRE_THAT(json.err, Contains("runs.csv:42") && Contains("diverged"));
  REQUIRE_THAT(run(folder.path(), common).out, Contains("alpha") && Contains("certificate"));
}

TEST_CASE("what the user got wrong has exit 2, what the file got wrong exit 4") {
  const TemporaryFolder folder;
  const std::string input = " --input " + sweep_file(folder.path()).string();
  const Outcome missing = run(folder.path(), "--law chinchilla" + input);
  REQUIRE(missing.code == 2);
  REQUIRE_THAT(missing.err, Contains("'N'"));
  const Outcome unknown = run(folder.path(), "--law chinchila" + input);
  REQUIRE(unknown.code == 2);
  REQUIRE_THAT(unknown.err, Contains("did you mean 'chinchilla'"));
  REQUIRE(run(folder.path(), "").code == 2);
  REQUIRE(run(folder.path(), "--law chinchilla --input x --nonsense").code == 2);
  std::ofstream(folder.path() / "bad.csv") << "N,D,loss\n1,2,-3\n";
  const Outcome bad = run(folder.path(), "--law chinchilla --input " + (folder.path() / "bad.csv").string());
  REQUIRE(bad.code == 4);
  REQUIRE_THAT(bad.err, Contains("bad.csv:2:5"));
}

TEST_CASE("a table may come through a pipe") {
  const TemporaryFolder folder;
  const Path csv = sweep_file(folder.path());
  const std::string rest = " --map N=size --derive 'D=C/(6*N)' --bootstrap 0";
  const Outcome piped = run_program(folder.path(), "fit --law chinchilla --input /dev/stdin" + rest,
                                    "cat " + csv.string() + " |");
  REQUIRE(piped.code == 0);
  REQUIRE(piped.out == run(folder.path(), "--law chinchilla --input " + csv.string() + rest).out);
}

TEST_CASE("text that was seen more than once is a warning") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "runs.csv")
      << "N,loss,epochs\n1e3,4,0.5\n1e4,3,1\n1e5,2.5,1.5\n1e6,2.2,2\n1e7,2,0.1\n";
  const std::string input = " --bootstrap 0 --input " + (folder.path() / "runs.csv").string();
  const Outcome outcome = run(folder.path(), "--law power-N" + input);
  REQUIRE(outcome.code == 0);
  REQUIRE_THAT(outcome.err,
               Contains("2 runs saw their data more than once") && !Contains("columns not used"));
}

TEST_CASE("an option that the procedure does not read is refused, with those that do") {
  const TemporaryFolder folder;
  const std::string input = " --input " + sweep_file(folder.path()).string();
  for (const std::string option : {"--interpolation akima", "--sides 3", "--sigma 0.01"}) {
    INFO(option);
    const Outcome outcome = run(folder.path(), "--law chinchilla " + option + input);
    REQUIRE(outcome.code == 2);
    REQUIRE_THAT(outcome.err, Contains("it is for isoflop"));
  }
  const Outcome outcome = run(folder.path(), "--law isoflop --delta 1e-3" + input);
  REQUIRE(outcome.code == 2);
  REQUIRE_THAT(outcome.err, Contains("--delta") && Contains("chinchilla, "));
}

TEST_CASE("a law from the command line") {
  const TemporaryFolder folder;
  const std::string input =
      "--input " + sweep_file(folder.path()).string() + " --map N=size --derive 'D=C/(6*N)' --bootstrap 0";
  const Outcome written = run(folder.path(), "--law 'L = E + A/N^alpha + B/D^beta' --json " + input);
  REQUIRE(written.code == 0);
  const auto built_in = nlohmann::json::parse(run(folder.path(), "--law chinchilla --json " + input).out);
  const auto parsed = nlohmann::json::parse(written.out);
  CHECK(parsed["params"]["alpha"]["value"].get<double>() ==
        Approx(built_in["params"]["alpha"]["value"].get<double>()).epsilon(1e-4));
  CHECK(parsed["law"] == "L = E + A/N^alpha + B/D^beta");
  CHECK(run(folder.path(), "--law 'L = E + A/N^alpha' --start q=1:2 " + input).code == 2);
  const Outcome misplaced = run(folder.path(), "--law chinchilla --start q=1:2 " + input);
  CHECK(misplaced.code == 2);
  CHECK_THAT(misplaced.err, Contains("--start is for the parameters of a formula"));
}

TEST_CASE("the loss elsewhere, by each kind of interval") {
  const TemporaryFolder folder;
  const std::string common =
      "--law chinchilla --map N=size --derive 'D=C/(6*N)' --bootstrap 20 --json --input " +
      sweep_file(folder.path()).string();
  for (const std::string kind : {"auto", "bootstrap", "noise", "jackknife", "profile"}) {
    INFO(kind);
    const Outcome outcome =
        run(folder.path(), common + " --predict N=1e8,D=2e9 --predict D=1e9,N=1e7 --interval " + kind);
    REQUIRE(outcome.code == 0);
    const auto predictions = nlohmann::json::parse(outcome.out)["predictions"];
    REQUIRE(predictions.size() == 2);
    REQUIRE(predictions[1]["at"]["N"] == 1e7);
    for (const auto& p : predictions) {
      CHECK(p["run"]["lo"] < p["law"]["lo"]);
      CHECK(p["law"]["lo"] < p["loss"]);
      CHECK(p["loss"] < p["law"]["hi"]);
      CHECK(p["law"]["hi"] < p["run"]["hi"]);
    }
    const double truth = Truth().loss(1e8, 2e9);
    CHECK(predictions[0]["run"]["lo"].get<double>() < truth);
    CHECK(truth < predictions[0]["run"]["hi"].get<double>());
  }
  const auto refused = [&](const std::string& options, const std::string& why) {
    const Outcome outcome = run(folder.path(), common + " " + options);
    INFO(options);
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains(why));
  };
  refused("--interval walt", "one of auto, bootstrap, noise, jackknife, profile");
  refused("--predict N=1e8", "chinchilla needs N, D, and nothing else");
  refused("--predict N=1e8,D=1e9,C=3", "and nothing else");
  refused("--predict N=1e8,D=x", "'x' is no number");
  refused("--predict N=1e8,D=-1", "D = -1 is not positive");
  refused("--predict N=1e8,N=1e9", "N is there twice");
  refused("--predict N", "write NAME=VALUE");
  refused("--predict N=1e8,D=1e9,", "write NAME=VALUE");
}

TEST_CASE("choose, holdout, influence and disagree give one JSON each and refuse what they cannot read") {
  const TemporaryFolder folder;
  const std::string input =
      " --map N=size --derive 'D=C/(6*N)' --input " + sweep_file(folder.path()).string();
  const auto json_of = [&](const std::string& arguments) {
    const Outcome outcome =
        run(folder.path(), arguments + input + " --json -o " + (folder.path() / "out.json").string());
    INFO(arguments << ": " << outcome.err);
    REQUIRE(outcome.code == 0);
    return nlohmann::json::parse(outcome.out);
  };
  CHECK(json_of("choose --laws chinchilla,chinchilla-no-floor")["winner"] == "chinchilla");
  CHECK(json_of("holdout --law chinchilla --by N --bootstrap 20")["points"] == 40);
  CHECK(json_of("holdout --law 'L = E + A/N^alpha' --bootstrap 0")["refused"] == 0);
  CHECK(json_of("influence --law chinchilla")["rows"].size() == 40);
  CHECK(json_of("--law chinchilla --bootstrap 0")["checklist"]["fit"].size() > 3);
  CHECK_THAT(run(folder.path(), "--law chinchilla --bootstrap 0 --checklist" + input).out,
             Contains("hypothesis") && Contains("learning rate"));
  const auto refused = [&](const std::string& arguments, const std::string& why) {
    const Outcome outcome = run(folder.path(), arguments);
    INFO(arguments);
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains(why));
  };
  refused("choose" + input + " --holdout half", "one of C<1e21, expanding");
  refused("choose" + input + " --laws chinchilla", "two laws at least");
  refused("choose --laws a,b", "--input");
  refused("holdout" + input, "--law NAME");
  refused("holdout --law chinchilla --by N --holdout run" + input, "give one of the two");
  refused("influence --law chinchila" + input, "did you mean 'chinchilla'");
  refused("disagree --law power-N" + input, "has no exponent of N_opt");
  CHECK(run(folder.path(), "holdout --law chinchilla --holdout 'C<1'" + input).code == 4);
}

TEST_CASE("fit list names every law") {
  const TemporaryFolder folder;
  const Outcome list = run(folder.path(), "list");
  REQUIRE(list.code == 0);
  REQUIRE_THAT(list.out, Contains("chinchilla-tied") && Contains("power-C-floor") && Contains("isoflop"));
}

TEST_CASE("the self-test prints a line for each law and procedure and exits 0") {
  const TemporaryFolder folder;
  const Outcome outcome = run(folder.path(), "--selftest");
  REQUIRE(outcome.code == 0);
  REQUIRE_THAT(outcome.out, Contains("ok       kaplan") && Contains("ok       isoflop") &&
                                Contains("ok       chinchilla at constant D/N") && !Contains("FAILED"));
}

TEST_CASE("a fit that cannot be written leaves the old file and nothing beside it") {
  const TemporaryFolder folder;
  const Path csv = sweep_file(folder.path());
  const Path fit = folder.path() / "fit.json";
  std::ofstream(fit) << "old";
  const Outcome outcome = run_on_full_disk(
      folder.path(), "fit --law power-C --input " + csv.string() + " --bootstrap 0 -o " + fit.string());
  CAPTURE(outcome.out);
  REQUIRE(outcome.code == 1);
  REQUIRE_THAT(outcome.out, Contains("fit.json"));
  REQUIRE(read_text(fit) == "old");
  REQUIRE(list_directory(folder.path()).size() == 2);
}

TEST_CASE("the self-test of coverage prints its rows, and a row that is named") {
  const TemporaryFolder folder;
  const Outcome one =
      run(folder.path(), "--selftest coverage --sweeps 40 --only 'constant tokens' --threads 2");
  INFO(one.out << one.err);
  CHECK(one.code == 0);
  CHECK_THAT(one.out,
             Contains("not identified, exponents withheld") && Contains("100.0%") && !Contains("bootstrap"));
  CHECK(run(folder.path(), "--selftest coverage --sweeps 5").code == 2);
  CHECK(run(folder.path(), "--selftest coverage --only nonsense").code == 2);
  CHECK(run(folder.path(), "--selftest speed --data /nonexistent").code == 4);
}

TEST_CASE("an objective is named in the output, one that does not exist is exit 2") {
  const TemporaryFolder folder;
  const std::string input = "--law chinchilla --map N=size --derive 'D=C/(6*N)' --bootstrap 0 --input " +
                            sweep_file(folder.path()).string();
  CHECK_THAT(run(folder.path(), input + " --objective quantile:0.1 --raw").out,
             Contains("quantile-sum, tau = 0.1, of raw loss"));
  CHECK(run(folder.path(), input + " --objective median").code == 2);
  CHECK(run(folder.path(), input + " --objective lad --delta 1e-3").code == 2);
  CHECK(run(folder.path(), input + " --starts everywhere").code == 2);
}
