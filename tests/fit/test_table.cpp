#include "fit/table.hpp"

#include <fstream>

#include "base/error.hpp"
#include "fit/runs.hpp"
#include "support/catch.hpp"
#include "support/failing_allocator.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::fit;
using Catch::Matchers::Contains;

TEST_CASE("cells are read with their place, quotes and line ends of any kind") {
  const Table table = Table::parse_csv(
      "\xEF\xBB\xBFN,\"Model, Size\",loss\r\n1e3,\"a \"\"b\"\"\",2.5\r\n\n2e3,,3\n", "t.csv");
  REQUIRE(table.names() == std::vector<std::string>{"N", "Model, Size", "loss"});
  REQUIRE(table.rows() == 2);
  REQUIRE(table.numbers("N") == std::vector<double>{1e3, 2e3});
  REQUIRE(table.texts("Model, Size")[0] == "a \"b\"");
}

TEST_CASE("what is wrong with a file is said with file, line and column") {
  REQUIRE_THROWS_WITH(Table::parse_csv("N,loss\n1,2\n3\n", "t.csv"),
                      Contains("t.csv:3:1") && Contains("header has 2"));
  REQUIRE_THROWS_WITH(Table::parse_csv("N,N\n", "t.csv"), Contains("twice"));
  REQUIRE_THROWS_WITH(Table::parse_csv("", "t.csv"), Contains("empty"));
  REQUIRE_THROWS_WITH(Table::parse_csv("N\n\"abc\n", "t.csv"), Contains("t.csv:2:1"));
  const Table table = Table::parse_csv("N,loss\n1,x\n", "t.csv");
  REQUIRE_THROWS_AS(table.numbers("loss"), InputError);
  REQUIRE_THROWS_WITH(table.numbers("loss"), Contains("t.csv:2:3") && Contains("'x'"));
}

TEST_CASE("a missing column is the user's error and is named with its neighbours") {
  const Table table = Table::parse_csv("N,losss\n1,2\n", "t.csv");
  REQUIRE_THROWS_AS(table.numbers("loss"), UsageError);
  REQUIRE_THROWS_WITH(table.numbers("loss"), Contains("'loss'") && Contains("losss"));
}

TEST_CASE("columns are renamed and derived") {
  Table table = Table::parse_csv("Model Size,C\n10,1200\n20,2400\n", "t.csv");
  table.rename("Model Size", "N");
  table.derive("D = C/(6*N)");
  REQUIRE(table.numbers("D") == std::vector<double>{20, 20});
  REQUIRE_THROWS_AS(table.derive("D"), UsageError);
  REQUIRE_THROWS_AS(table.derive("E=X*2"), UsageError);
}

TEST_CASE("rows that no fit may use are left out and listed, bad losses are refused") {
  const Table table = Table::parse_csv(
      "N,loss,status,other,run,error\n1,2,done,9,a,\n2,nan,diverged,9,b,loss is NaN in step 9\n3,4,,9,a,\n"
      "4,5,done,9,c,\n",
      "t.csv");
  const Runs runs = select_runs(table, {{"N"}, 1, false});
  REQUIRE(runs.loss == std::vector<double>{2, 4});
  REQUIRE(runs.excluded.size() == 2);
  REQUIRE(runs.excluded[0].reason == "status is diverged: loss is NaN in step 9");
  REQUIRE(runs.clusters == 1);
  REQUIRE(runs.notices.size() == 1);
  REQUIRE_THAT(runs.notices[0], Contains("other"));
  for (const char* bad : {"0", "-1", "inf", ""}) {
    const Table wrong = Table::parse_csv(std::string("N,loss\n1,") + bad + "\n2,3\n", "t.csv");
    REQUIRE_THROWS_AS(select_runs(wrong, {{"N"}, 0, false}), InputError);
    REQUIRE_THROWS_WITH(select_runs(wrong, {{"N"}, 0, false}), Contains("t.csv:2:3"));
  }
}

TEST_CASE("runs that end above the bigram entropy of their text are left out and say so") {
  const Table table = Table::parse_csv(
      "N,loss,status,bigram_entropy\n1,2.3,done,2.4\n2,2.5,done,2.4\n3,2.6,done,\n4,,diverged,\n", "t.csv");
  const Runs runs = select_runs(table, {{"N"}, 0, false});
  REQUIRE(runs.loss == std::vector<double>{2.3, 2.6});
  REQUIRE(runs.excluded.size() == 2);
  REQUIRE(runs.excluded[1].place == "t.csv:3:3");
  REQUIRE_THAT(runs.excluded[1].reason, Contains("2.5000") && Contains("bigram entropy 2.4000"));
}

TEST_CASE("losses read before the end of a run are left out where it matters") {
  const Table table = Table::parse_csv("N,loss,progress\n1,2,1\n2,3,0.5\n", "t.csv");
  REQUIRE(select_runs(table, {{"N"}, 0, true}).size() == 1);
  REQUIRE(select_runs(table, {{"N"}, 0, false}).size() == 2);
}

TEST_CASE("reading a table with too little memory fails cleanly at every allocation", "[allocator]") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "runs.csv";
  std::ofstream(path)
      << "a name that is no short string,loss,status\n1,2,\"a status that is no short, string\"\n"
         "3,4,done\n";
  int rows = 0;
  const int failures = fail_each_allocation([&] {
    const Table table = Table::read_csv(path);
    rows = table.rows() + static_cast<int>(table.numbers("loss").size());
  });
  REQUIRE(failures > 20);
  REQUIRE(rows == 4);
}

TEST_CASE("rows of a table that was no file are called by a column") {
  Table table = Table::parse_csv("name,loss\nd-C3e12-s1,2\n\"d, e\",x\n", "text.db");
  table.name_rows("name");
  REQUIRE(table.place(0, "loss") == "text.db: d-C3e12-s1");
  REQUIRE_THROWS_WITH(table.numbers("loss"), Contains("text.db: d, e"));
  REQUIRE(table.select({1}).place(0, "loss") == "text.db: d, e");
}

TEST_CASE("a run of other programs that ended well is a run") {
  const Table table =
      Table::parse_csv("N,loss,status\n1,2,finished\n2,2,FINISHED\n3,2,COMPLETE\n4,2,crashed\n", "t.csv");
  const Runs runs = select_runs(table, {{"N"}, 0, false});
  CHECK(runs.size() == 3);
  REQUIRE(runs.excluded.size() == 1);
  CHECK(runs.excluded[0].reason == "status is crashed");
}
