// The verb `report`, and what is left of it and of `sweep export` on a full disk.
#include <fstream>

#include "report/sample_store.hpp"
#include "report/stand_in_gnuplot.hpp"
#include "support/catch.hpp"
#include "support/program.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Contains;

namespace {

Path sample_store(const TemporaryFolder& folder) {
  Path path = folder.path() / "sample.db";
  sweep::Store store(path, sweep::Store::Mode::create);
  report::fill(store, report::sample_report());
  return path;
}

}  // namespace

TEST_CASE("a report is written without a temporary folder of the system and leaves nothing beside it") {
  const TemporaryFolder folder;
  const Path store = sample_store(folder);
  const std::string page = (folder.path() / "page.html").string();
  const Outcome outcome =
      run_program(folder.path(), "report " + store.string() + " --bootstrap 20 --law chinchilla -o " + page,
                  "TMPDIR=/nonexistent");
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  REQUIRE_THAT(read_text(page), Contains("Certificate of convergence"));
  REQUIRE(list_directory(folder.path()).size() == 2);
}

TEST_CASE("a report or a table that cannot be written leaves the old file and nothing beside it") {
  const TemporaryFolder folder;
  const Path store = sample_store(folder);
  const Path out = folder.path() / "out";
  std::ofstream(out) << "old";
  for (const char* verb :
       {"report --bootstrap 0 -o ", "sweep export -o ", "sweep export --format jsonl -o "}) {
    const Outcome outcome = run_on_full_disk(folder.path(), verb + out.string() + " " + store.string());
    INFO(verb << outcome.out);
    REQUIRE(outcome.code == 1);
    REQUIRE_THAT(outcome.out, Contains(folder.path().string()));
    REQUIRE(read_text(out) == "old");
    REQUIRE(list_directory(folder.path()).size() == 2);
  }
}

TEST_CASE("half a picture leaves the old page and no file of gnuplot's") {
  const TemporaryFolder folder, programs;
  const Path store = sample_store(folder);
  const Path out = folder.path() / "out";
  std::ofstream(out) << "old";
  const Outcome outcome =
      run_program(folder.path(), "report --bootstrap 0 -o " + out.string() + " " + store.string(),
                  stand_in_gnuplot(programs.path(), "cat >/dev/null; echo '<svg>'"));
  REQUIRE(outcome.code == 1);
  REQUIRE_THAT(outcome.err, Contains("incomplete"));
  REQUIRE(read_text(out) == "old");
  REQUIRE(list_directory(folder.path()).size() == 2);
}

TEST_CASE("gnuplot ends with the program, which leaves nothing of a picture") {
  const TemporaryFolder folder, programs;
  const Path store = sample_store(folder);
  const std::string number = (programs.path() / "number").string();
  const std::string path =
      stand_in_gnuplot(programs.path(), "echo $$ >" + number + ".new; mv " + number + ".new " + number +
                                            "; exec sleep 60 >/dev/null 2>&1 </dev/null");
  // Gone, or a zombie whose new parent has not looked yet.
  const std::string command =
      path + " " LOGLOG_PROGRAM " report --bootstrap 0 -o " + (folder.path() / "out").string() + " " +
      store.string() + " >/dev/null 2>&1 & until [ -e " + number +
      " ] || ! kill -0 $!; do sleep 0.05; done; N=$(cat " + number +
      "); kill -0 $N || exit 2; kill -KILL $!; wait $!; " + "for i in 1 2 3 4 5 6 7 8 9 10; do " +
      "grep -q 'State:.[^Z]' /proc/$N/status 2>/dev/null || exit 0; sleep 0.1; done; " + "kill $N; exit 1";
  REQUIRE(std::system(command.c_str()) == 0);
  REQUIRE(list_directory(folder.path()).size() == 1);
}
