// loglog study: what is listed and shown, pages from results, and what can be wrong with a call. What is measured is tested in
// tests/studies and takes minutes here.
#include <fmt/format.h>

#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "studies/built_in.hpp"
#include "studies/result_json.hpp"
#include "studies/studies.hpp"
#include "support/catch.hpp"
#include "support/program.hpp"
#include "support/temporary_folder.hpp"
#include "sweep/store.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Matchers::Contains;

namespace {

struct Place {
  TemporaryFolder folder;

  Outcome study(const std::string& arguments, const std::string& before = "") const {
    return run_program(folder.path(), "study " + arguments, before);
  }
  std::string name(const std::string& file) const { return (folder.path() / file).string(); }
  std::string write(const std::string& file, const std::string& text) const {
    write_atomically(real_file_system(), name(file), text);
    return name(file);
  }
  std::string tokens(int lines) const {
    std::string text;
    for (int i = 0; i < lines; ++i) text += "the cat " + std::to_string(i) + " sat on the mat.\n";
    REQUIRE(run_program(folder.path(), "data import " + write("t.txt", text) + " -o " + name("t.tok")).code ==
            0);
    return name("t.tok");
  }
  std::string manifest(const std::string& from, const std::string& to) const {
    std::string text(studies::built_in_config("int8"));
    return write("m.toml", text.replace(text.find(from), from.size(), to));
  }
  void refused(const std::string& arguments, int code, const std::string& says) const {
    INFO(arguments);
    const Outcome outcome = study(arguments);
    CHECK(outcome.code == code);
    CHECK_THAT(outcome.err, Contains(says));
    CHECK(outcome.out.empty());
  }
};

studies::Result result() {
  studies::Result r;
  r.study = "int8", r.title = "A title", r.effort = "quick", r.manifest_hash = "00ff";
  r.findings.resize(1);
  r.findings[0].claim = {"C1", "a claim", "a rule", "a figure"};
  return r;
}

}  // namespace

TEST_CASE_METHOD(Place, "every study is listed with what it costs") {
  const Outcome text = study("list");
  const Outcome json = study("list --json");
  REQUIRE(text.code == 0);
  REQUIRE(json.code == 0);
  const auto listed = nlohmann::json::parse(json.out);
  REQUIRE(listed.size() == studies::studies().size());
  for (std::size_t i = 0; i < listed.size(); ++i) {
    CHECK(listed[i]["name"] == studies::studies()[i].name);
    for (const char* key : {"name", "title", "quick", "full"})
      CHECK_THAT(text.out, Contains(listed[i][key].get<std::string>()));
  }
}

TEST_CASE_METHOD(Place, "claims and thresholds are shown, and whose they are") {
  const studies::Manifest official = studies::Manifest::of_study("int8");
  const Outcome own = study("show int8");
  REQUIRE(own.code == 0);
  for (const std::string_view effort : studies::kEfforts)
    CHECK_THAT(own.out, Contains(fmt::format("manifest of --{} {}\n", effort, official.hash(effort))));
  for (const studies::Claim& claim : studies::find_study("int8").claims(official))
    CHECK_THAT(own.out, Contains(claim.text) && Contains(claim.rule) && Contains(claim.paper));
  for (const auto& [key, value] : official.values()) CHECK_THAT(own.out, Contains(key + " = "));

  const Outcome other = study("show int8 --manifest " + manifest("dims = 6", "dims = 7"));
  REQUIRE(other.code == 0);
  CHECK_THAT(other.out, Contains("(EXPLORATORY)") && Contains("thresholds.dims = 7"));
  for (const std::string_view effort : studies::kEfforts)
    CHECK_THAT(other.out, !Contains(official.hash(effort)));
  const Outcome same = study("show int8 --manifest " + manifest("dims = 6", "dims = 6.0"));
  CHECK(same.out == own.out);
}

TEST_CASE_METHOD(Place, "what cannot be run is refused before anything is made") {
  const std::string data = tokens(200), out = " -o " + name("out");
  const auto run_refused = [&](const std::string& arguments, int code, const std::string& says) {
    refused("run " + arguments, code, says);
    CHECK_FALSE(path_exists(name("out")));
  };
  run_refused("int9 --quick --data " + data + out, 2, "did you mean 'int8'?");
  run_refused("int8 --data " + data + out, 2, "--quick or --full");
  run_refused("int8 --quick --full --data " + data + out, 2, "--quick and --full exclude each other");
  run_refused("int8 --quick" + out, 2, "--data F.tok is needed");
  run_refused("int8 --quick --data " + data, 2, "-o FOLDER is needed");
  run_refused(
      "int8", 2,
      "--quick or --full is needed (`loglog study list` has what each costs); --data F.tok is needed, "
      "the text; -o FOLDER is needed");
  run_refused("int8 --quick --data ''" + out, 2, "--data");
  run_refused("int8 --quick --sead 2 --data " + data + out, 2, "did you mean '--seed'?");
  run_refused("int8 --quick --seed -1 --data " + data + out, 2, "--seed");
  run_refused("int8 --quick --threads 0 --data " + data + out, 2, "--threads");
  run_refused("int8 --quick --isa mmx --data " + data + out, 2, "isa 'mmx'");
  run_refused("int8 --quick --data " + name("absent.tok") + out, 4, "absent.tok");
  run_refused("int8 --quick --data " + name("t.txt") + out, 4, "t.txt");
  const std::string run = "int8 --quick --data " + data + out + " --manifest ";
  run_refused(run + name("absent.toml"), 4, "absent.toml");
  REQUIRE(::mkfifo(name("pipe").c_str(), 0600) == 0);
  run_refused(run + name("pipe"), 4, "pipe");
  run_refused(run + manifest("dims = 6", "dimms = 6"), 2, "lacks thresholds.dims");
  run_refused(run + manifest("dims = 6", "dims = \"6\""), 2, "thresholds.dims must be a finite number");
  run_refused(run + manifest("dims = 6 ", "dims = 300 "), 2, "thresholds.dims = 300 must be a whole number");
  refused("show int8 --manifest " + manifest("scale_two_signed = 128", "scale_two_signed = 100"), 2,
          "thresholds.scale_two_signed = 100 must be a power of two");
  run_refused(run + manifest("[thresholds]", "[thresholds"), 2, "m.toml:2");
}

TEST_CASE_METHOD(Place, "a folder that is none, and a verb that is none") {
  const std::string data = tokens(200);
  refused("run int8 --quick --data " + data + " -o " + data, 2, "'" + data + "' is no folder");
  refused("rum int8", 2, "did you mean 'run'?");
  refused("show", 2, "NAME is required");
  refused("show int8 --manifest ''", 2, "--manifest");
}

TEST_CASE_METHOD(Place, "where training fails, its own words and exit code are the study's") {
  const Outcome outcome = study("run int8 --quick --data " + tokens(20) + " -o " + name("out"));
  CHECK(outcome.code == 4);
  CHECK_THAT(outcome.err,
             Contains("t.tok") && Contains("int8-quick.toml") && Contains("failed, as it says above"));
}

TEST_CASE_METHOD(Place, "a signal leaves what is trained, for the same command to go on with") {
  const std::string run = "run int8 --quick --threads 1 --data " + tokens(1000) + " -o " + name("out");
  const std::string store = name("out/int8-quick.db");  // made once the runs are planned
  const Outcome stopped =
      study(run,
            "sh -c 'store=$1; shift; \"$@\" & while kill -0 $! && ! [ -e \"$store\" ]; do sleep 0.1; done; "
            "kill -TERM $!; wait $!' sh " +
                store);
  INFO(stopped.err);
  CHECK(stopped.code == 75);
  CHECK_THAT(stopped.err, Contains("the same command goes on"));
  for (const sweep::RunRow& row : sweep::Store(store, sweep::Store::Mode::read).runs_of("int8-quick"))
    CHECK(row.spec.threads == 1);  // that it was asked for, of a model that would take all
  CHECK_FALSE(path_exists(name("out/int8.json")));
}

TEST_CASE_METHOD(Place, "a page is made again from its JSON alone") {
  write("int8.json", studies::to_json(result()));
  const Outcome outcome = study("page " + folder.path().string() + " int8");
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(read_input(name("int8.md")), Contains("# A title") && Contains("NOT TESTABLE"));
  CHECK(read_input(name("int8.json")) == studies::to_json(result()));
}

TEST_CASE_METHOD(Place, "a result that is missing, damaged or another's is refused by its file") {
  const std::string page = "page " + folder.path().string() + " int8";
  refused(page, 4, "int8.json");
  refused("page " + name("absent") + " int8", 4, "absent/int8.json");
  const std::string good = studies::to_json(result());
  write("int8.json", good.substr(0, good.size() / 2));
  refused(page, 4, "int8.json");
  std::string outside = good;
  outside.replace(outside.find("\"int8\""), 6, "\"../x\"");
  write("int8.json", outside);
  refused(page, 4, "'../x' is no name");
  studies::Result other = result();
  other.study = "outliers";
  write("int8.json", studies::to_json(other));
  refused(page, 4, "a result of the study outliers, not of int8");
  CHECK_FALSE(path_exists(name("int8.md")));
  CHECK_FALSE(path_exists(name("outliers.md")));
}
