#include "fit/choice/checklist.hpp"

#include <algorithm>

#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using namespace loglog::testing;
using Catch::Matchers::Contains;

namespace {

Table sweep() {
  const Runs runs = lab_sweep(0.003, 1);
  Table table("runs.csv");
  table.add("N", runs.columns[0]);
  table.add("D", runs.columns[1]);
  table.add("loss", runs.loss);
  return table;
}

FitResult fitted(const Table& table, const std::string& law = "chinchilla") {
  ProcedureOptions options;
  options.bootstrap = 0;
  return find_procedure(law).run(table, options);
}

ChecklistItem item(const FitResult& result, const std::string& block, const std::string& name) {
  for (const ChecklistItem& i : result.checklist)
    if (i.block == block && i.name == name) return i;
  FAIL("no " << block << ", " << name);
  return {};
}

}  // namespace

TEST_CASE("every fit comes with the four blocks, and what the table lacks is said to be missing") {
  const FitResult result = fitted(sweep());
  std::vector<std::string> blocks;
  for (const ChecklistItem& i : result.checklist)
    if (blocks.empty() || blocks.back() != i.block) blocks.push_back(i.block);
  CHECK(blocks == std::vector<std::string>{"hypothesis", "setup", "data", "fit"});
  CHECK_THAT(item(result, "hypothesis", "form").answer, Contains("A / N^alpha") && Contains("Hoffmann"));
  CHECK(item(result, "setup", "tokens per parameter").answer == "5 to 80");
  CHECK(item(result, "data", "points").answer == "40 of 40 rows");
  CHECK_THAT(item(result, "fit", "stopping").answer, Contains("converged"));
  for (const char* name : {"learning rate", "schedule", "seeds", "text"}) {
    INFO(name);
    CHECK_FALSE(item(result, "setup", name).stated);
    CHECK_THAT(item(result, "setup", name).answer, Contains("not stated in the table"));
  }
}

TEST_CASE("columns of a store answer") {
  Table table = sweep();
  table.derive("n_matrix=N");
  table.derive("C=6*N*D");
  table.derive("progress=1+0*N");
  table.derive("train.lr=0.001*(N/10000)^-0.3");
  table.add("train.schedule", std::vector<std::string>(40, "wsd"));
  table.add("seed", std::vector<std::string>(40, "3"));
  std::vector<std::string> status(40, "done");
  status[4] = "diverged";
  table.add("status", status);
  const FitResult result = fitted(table);
  CHECK_THAT(item(result, "hypothesis", "counting of N").answer, Contains("n_matrix"));
  CHECK(item(result, "hypothesis", "counting of C").answer == "6 N D");
  CHECK_THAT(item(result, "setup", "learning rate").answer, Contains("8 values"));
  CHECK(item(result, "setup", "schedule").answer == "schedule wsd");
  CHECK(item(result, "setup", "seeds").answer == "3");
  CHECK(item(result, "data", "left out").answer == "1: status is diverged");
  CHECK(item(result, "data", "checkpoints").answer == "final losses alone");
  const auto json = to_json(result);
  CHECK(json["checklist"]["setup"][0]["item"] == "sizes N");
  CHECK(json["checklist"]["setup"][0]["stated"] == true);
  CHECK_THAT(checklist_text(result), Contains("hypothesis\n") && Contains("counting of N"));
}

TEST_CASE("procedures that are no law have one too") {
  Table table = sweep();
  table.derive("C=7*N*D");
  CHECK_FALSE(item(fitted(table, "envelope"), "hypothesis", "counting of C").stated);
  CHECK(item(fitted(table, "envelope"), "fit", "optimiser").answer == "linear regression");
}
