// Arguments that must be refused before anything is done: exit 2, and every file as it was.
#include <string>
#include <tuple>

#include "support/catch.hpp"
#include "support/program.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Matchers::Contains;

TEST_CASE("an output is never one of the inputs") {
  const TemporaryFolder folder;
  const Path csv = folder.path() / "runs.csv";
  const std::string rows = "N,loss\n1e3,4\n1e4,3\n1e5,2.5\n1e6,2.2\n1e7,2\n";
  write_atomically(real_file_system(), csv, rows);
  const Path link = folder.path() / "link";
  std::filesystem::create_symlink(csv, link);
  for (const std::string& line :
       {"fit --law power-N --input " + csv.string() + " -o " + csv.string(),
        "fit --law power-N --input " + csv.string() + " -o " + link.string(),
        "data import " + csv.string() + " -o " + csv.string(),
        "data import --source a=" + csv.string() + " -o " + csv.string(),
        "data import x.txt --tokenizer " + csv.string() + " -o " + csv.string(),
        "data import x.txt --tokenizer " + folder.path().string() + " -o " + csv.string(),
        "report " + csv.string() + " -o " + csv.string(),
        "sweep export " + csv.string() + " -o " + csv.string(),
        "store merge " + csv.string() + " " + csv.string()}) {
    INFO(line);
    const Outcome outcome = run_program(folder.path(), line);
    REQUIRE(outcome.code == 2);
    REQUIRE_THAT(outcome.err, Contains("choose another name"));
    REQUIRE(read_text(csv) == rows);
  }
}

TEST_CASE("numbers that no run could use are refused by name") {
  const TemporaryFolder folder;
  const std::string synth = "data synth --world markov -o " + (folder.path() / "s.tok").string();
  for (const std::string& line :
       {synth + " --tokens -5", synth + " --tokens 0", synth + " --tokens 1e3",
        synth + " --tokens 99999999999999999999", synth + " --seed -1", synth + " --contexts 0",
        synth + " --contexts 16,-3", std::string("report x.db --bootstrap -5"),
        std::string("fit --law power-N --input x.csv --seed -1"), std::string("fit --bootstrap -1"),
        std::string("fit --bootstrap 1e400"), std::string("fit --drop-highest -1"),
        std::string("train --config x.toml --bench 0"),
        std::string("train --config x.toml --bench 9223372036854775807")}) {
    INFO(line);
    const Outcome outcome = run_program(folder.path(), line);
    REQUIRE(outcome.code == 2);
    REQUIRE_THAT(outcome.err, Contains("must be a number"));
    REQUIRE(outcome.err.size() < 300);
    REQUIRE(std::filesystem::is_empty(folder.path()));
  }
}

TEST_CASE("options that would be without effect are refused, and what is offered instead can be used there") {
  const TemporaryFolder folder;
  const std::string train = "train --config x.toml ";
  const std::tuple<std::string, const char*, const char*> cases[] = {
      {"train --set train.steps=7 tune --config x.toml --out y", "--set stands before 'tune'", ""},
      {"train --fork nowhere tune --config x.toml --out y", "--fork stands before 'tune'", ""},
      {"train tune --config x.toml --out y --fork z", "unknown option '--fork'", "did you mean '--fork'"},
      {train + "--out y --fork ''", "a name is missing", ""},
      {train + "--out y --fork '' --restart", "a name is missing", ""},
      {train + "--bench 3 --out y", "excludes", ""},
      {train + "--bench 3 --resume y", "excludes", ""},
      {train + "--bench 3 --fork y", "excludes", ""},
  };
  for (const auto& [line, told, not_told] : cases) {
    INFO(line);
    const Outcome outcome = run_program(folder.path(), line);
    INFO(outcome.err);
    REQUIRE(outcome.code == 2);
    REQUIRE_THAT(outcome.err, Contains(told));
    if (*not_told != 0) REQUIRE_THAT(outcome.err, !Contains(not_told));
    REQUIRE(std::filesystem::is_empty(folder.path()));
  }
}

TEST_CASE("results that find no room on standard output are told as that") {
  const TemporaryFolder folder;
  const Path told = folder.path() / "told";
  const std::string line = LOGLOG_PROGRAM " train --keys >/dev/full 2>" + told.string();
  REQUIRE(WEXITSTATUS(std::system(line.c_str())) == 1);
  REQUIRE_THAT(read_text(told), Contains("cannot write to standard output: No space left"));
}

TEST_CASE("a word that is no verb is named, with the nearest one") {
  const TemporaryFolder folder;
  for (const auto& [line, meant] :
       {std::pair("trian", "train"), {"data imprt x", "import"}, {"sweep statsu", "status"}}) {
    const Outcome outcome = run_program(folder.path(), line);
    REQUIRE(outcome.code == 2);
    REQUIRE_THAT(outcome.err, Contains(meant));
  }
}

TEST_CASE("a merge that fails leaves no store behind") {
  const TemporaryFolder folder;
  const Path bad = folder.path() / "bad.jsonl";
  write_atomically(real_file_system(), bad, "{\"schema\": 1}\n");
  const Path store = folder.path() / "new.db";
  REQUIRE(run_program(folder.path(), "store merge " + store.string() + " " + bad.string()).code == 4);
  REQUIRE_FALSE(std::filesystem::exists(store));
  const Outcome piped = run_program(folder.path(), "store merge " + store.string() + " /dev/stdin",
                                    "cat " + bad.string() + " |");
  REQUIRE(piped.code == 4);
  REQUIRE_THAT(piped.err, Contains("/dev/stdin:1"));  // lines of runs, not a store that cannot be opened
}

TEST_CASE("a folder that cannot be looked into is named, with the reason") {
  const TemporaryFolder folder;
  const Path tok = folder.path() / "t.tok";
  REQUIRE(run_program(folder.path(), "data synth --world markov --tokens 20000 -o " + tok.string()).code ==
          0);
  const Path config = folder.path() / "c.toml";
  write_atomically(real_file_system(), config, "[data]\npath = \"" + tok.string() + "\"\n");
  const std::string out = (folder.path() / std::string(300, 'x') / "run").string();
  for (const std::string& line :
       {"train --config " + config.string() + " --out " + out, "train --resume " + out}) {
    const Outcome outcome = run_program(folder.path(), line);
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 1);
    REQUIRE_THAT(outcome.err, Contains("loglog: cannot look for '" + out) && Contains("File name too long"));
    REQUIRE_THAT(outcome.err, !Contains("filesystem error"));
  }
}
