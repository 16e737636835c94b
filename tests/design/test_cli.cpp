// loglog sweep design, from a sweep file to one that can be trained.
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/program_folder.hpp"

using namespace loglog::testing;
using Catch::Matchers::Contains;

namespace {

struct Design : ProgramFolder {
  Design() {
    REQUIRE(run("data synth --world contexts --tokens 1500000 --seed 1 -o " + at("text.tok")).code == 0);
    write(R"([goal]
quantity = "a"
half_width = 0.5
noise = "0.001"
prior = {B = 46}
)");
  }
  void write(const std::string& goal) const {
    std::ofstream out(at("g.toml"));
    out << "name = \"g\"\nkind = \"isoflop\"\n"
        << goal << "[model]\ncontext = 16\n[data]\npath = \"" << at("text.tok")
        << "\"\n[train]\nbatch = 2\n[eval]\ntokens = 2048\n";
    for (const int width : {4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256})
      out << "[[size]]\nname = \"w" << width << "\"\nlayers = 1\nwidth = " << width << "\nheads = 1\n";
  }
};

}  // namespace

TEST_CASE("sweep design proposes, simulates, and writes a sweep file that plans") {
  const Design d;
  const Outcome designed =
      d.run("sweep design " + d.at("g.toml") + " --json --simulate 50 -o " + d.at("designed.toml"));
  CAPTURE(designed.err);
  REQUIRE(designed.code == 0);
  const auto json = nlohmann::json::parse(designed.out);
  CHECK(json["quantity"] == "a");
  REQUIRE(!json["grids"].empty());
  const auto& first = json["grids"][0];
  CHECK(first["half_width"].get<double>() <= 0.5);
  CHECK(first["simulated"]["error"].get<double>() > 0);
  const Outcome planned = d.run("sweep plan " + d.at("designed.toml") + " --json");
  CAPTURE(planned.err);
  REQUIRE(planned.code == 0);
  const auto plan = nlohmann::json::parse(planned.out);
  CHECK(plan["runs"] == first["runs"]);
  CHECK(plan["flops"].get<double>() == Approx(first["flops"].get<double>()).epsilon(0.05));
}

TEST_CASE("sweep design says what is missing, and what cannot be reached") {
  const Design d;
  const Outcome beyond = d.run("sweep design " + d.at("g.toml") + " --max-flops 1e6");
  CHECK(beyond.code == 6);
  CHECK_THAT(beyond.err, Contains("no grid of these sizes within the limits gives a to +-0.5"));
  CHECK(d.run("sweep run " + d.at("g.toml") + " --store " + d.at("g.db")).code == 2);
  d.write("[goal]\nquantity = \"a\"\n");
  const Outcome incomplete = d.run("sweep design " + d.at("g.toml"));
  CHECK(incomplete.code == 2);
  CHECK_THAT(incomplete.err, Contains("'half_width' is missing"));
  d.write("budgets = [1e9]\n");
  CHECK_THAT(d.run("sweep design " + d.at("g.toml")).err, Contains("has no [goal]"));
}
