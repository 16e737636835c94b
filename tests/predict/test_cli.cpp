// Losses foretold, committed, trained and scored; and everything that would let a prediction be made afterwards.
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.hpp"
#include "base/file.hpp"
#include "predict/registration.hpp"
#include "support/catch.hpp"
#include "support/program_folder.hpp"
#include "synthetic.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Matchers::Contains;
using Json = nlohmann::json;

namespace {

// A repository with a sweep of two runs of a second, and the runs of a known law beside it.
struct Registry : ProgramFolder {
  Registry() {
    git("init -q .");
    REQUIRE(run("data synth --world contexts --tokens 200000 --seed 1 -o " + at("text.tok")).code == 0);
    std::ofstream(at("far.toml")) << R"(
name = "far"
kind = "grid"
tokens = [3200, 6400]
[[size]]
name = "s"
layers = 1
width = 8
heads = 1
[rules]
lr = "0.01 * (N / 1000)^-0.5"
[model]
context = 16
[data]
path = ")" << at("text.tok") << R"("
[train]
batch = 4
[eval]
tokens = 2048
)";
    const fit::Runs runs = lab_sweep(0.003, 2);
    std::ofstream csv(at("runs.csv"));
    csv << "N,D,C,loss\n";
    csv.precision(17);
    for (std::size_t i = 0; i < runs.loss.size(); ++i) {
      const double N = runs.columns[0][i], D = runs.columns[1][i];
      csv << N << ',' << D << ',' << 6 * N * D << ',' << runs.loss[i] << '\n';
    }
  }
  void git(const std::string& words) const {
    const std::string command = "git -C " + folder.path().string() + " -c user.name=t -c user.email=t@t " +
                                words + " >/dev/null 2>&1";
    REQUIRE(std::system(command.c_str()) == 0);
  }
  Outcome foretell(const std::string& more = "") const {
    return run("predict register " + at("far.toml") + " --input " + at("runs.csv") + " --bootstrap 50 -o " +
               at("far.jsonl") + more);
  }
  Outcome train(const std::string& more = "") const {
    return run("sweep run " + at("far.toml") + " --store " + at("far.db") + " --quiet --predictions " +
               at("far.jsonl") + more);
  }
  Json score() const {
    const Outcome scored = run("predict score " + at("far.jsonl") + " --store " + at("far.db") + " --json");
    REQUIRE(scored.code == 0);
    return Json::parse(scored.out);
  }
  std::vector<Json> lines() const {
    std::istringstream text(read_text(at("far.jsonl")));
    std::vector<Json> list;
    for (std::string line; std::getline(text, line);) list.push_back(Json::parse(line));
    return list;
  }
};

}  // namespace

TEST_CASE("a prediction says what the law says, and what it rests on") {
  const Registry r;
  REQUIRE(r.foretell().code == 0);
  const std::vector<Json> lines = r.lines();
  REQUIRE(lines.size() == 3);
  CHECK(lines[0]["law"] == "chinchilla");
  CHECK(lines[0]["fitted_runs"] == 40);
  CHECK(lines[0]["largest_C"].get<double>() == Approx(6 * 3e6 * 2.4e8));
  CHECK(lines[0]["rules"]["lr"] == "0.01 * (N / 1000)^-0.5");
  const Truth truth;
  for (int i : {1, 2}) {
    const Json& p = lines[static_cast<std::size_t>(i)];
    CHECK(p["D"] == 3200 * i);
    CHECK(p["loss"].get<double>() == Approx(truth.loss(p["N"], p["D"])).epsilon(0.05));
    CHECK(p["lo"] < p["law_lo"]);
    CHECK(p["law_lo"] < p["loss"]);
    CHECK(p["loss"] < p["law_hi"]);
    CHECK(p["law_hi"] < p["hi"]);
    CHECK(p["unchanged"].get<double>() < 1.5);
    CHECK(p["floorless"] != p["loss"]);
  }
  // It is evidence: a second one in its place would not be.
  const Outcome again = r.foretell();
  CHECK(again.code == 6);
  CHECK_THAT(again.err, Contains("exists"));
}

TEST_CASE("runs are trained only for a prediction that is committed, and name its commit") {
  const Registry r;
  REQUIRE(r.foretell().code == 0);
  const Outcome early = r.train();
  CHECK(early.code == 6);
  CHECK_THAT(early.err, Contains("commit it first"));
  CHECK_FALSE(path_exists(r.at("far.db")));
  r.git("add far.jsonl");
  CHECK(r.train().code == 6);  // staged is not committed
  r.git("commit -m predictions");
  REQUIRE(r.train().code == 0);
  const Json score = r.score();
  CHECK(score["reached"] == 2);
  CHECK(score["inside"] == 0);  // that law is not this text's
  for (const Json& run : score["files"][0]["runs"]) {
    CHECK(run["registered"] == true);
    CHECK(run["commit"].get<std::string>().size() == 40);
    const double said = run["said"], reached = run["reached"];
    CHECK(run["error"].get<double>() == Approx((said - reached) / reached));
  }
  const Outcome csv = r.run("sweep export " + r.at("far.db") + " --format csv");
  CHECK_THAT(csv.out, Contains("prediction.commit"));
  CHECK(r.train().code == 0);  // nothing left to do, and nothing wrong
}

TEST_CASE("what was begun before its prediction was registered is refused") {
  const Registry r;
  REQUIRE(r.run("sweep run " + r.at("far.toml") + " --store " + r.at("far.db") + " --quiet").code == 0);
  REQUIRE(r.foretell().code == 0);
  r.git("add far.jsonl");
  r.git("commit -m predictions");
  const Outcome late = r.train();
  CHECK(late.code == 6);
  CHECK_THAT(late.err, Contains("was begun before"));
  const Json score = r.score();
  for (const Json& run : score["files"][0]["runs"]) CHECK(run["registered"] == false);
}

TEST_CASE("a changed plan and a changed file are noticed") {
  const Registry r;
  REQUIRE(r.foretell().code == 0);
  r.git("add far.jsonl");
  r.git("commit -m predictions");
  std::string plan = read_text(r.at("far.toml"));
  plan.replace(plan.find("0.01 *"), 6, "0.02 *");
  std::ofstream(r.at("far.toml")) << plan;
  const Outcome other = r.train();
  CHECK(other.code == 6);
  CHECK_THAT(other.err, Contains("is not foretold in"));

  std::ofstream(r.at("far.jsonl"), std::ios::app) << "{\"run\": 3}\n";
  const Outcome damaged = r.train();
  CHECK(damaged.code == 4);
  CHECK_THAT(damaged.err, Contains("far.jsonl:4") && Contains("run is 3, it must be text"));
}

TEST_CASE("a run that the law was fitted to is not foretold") {
  const Registry r;
  REQUIRE(r.run("sweep run " + r.at("far.toml") + " --store " + r.at("far.db") + " --quiet").code == 0);
  const Outcome refused = r.run("predict register " + r.at("far.toml") + " --input " + r.at("far.db") +
                                " --law power-D -o " + r.at("far.jsonl"));
  CHECK(refused.code == 6);
  CHECK_THAT(refused.err, Contains("it cannot be foretold"));
}

TEST_CASE("where a commit is optional, a file that is not committed has its hash alone") {
  const Registry r;
  REQUIRE(r.foretell().code == 0);
  using predict::Commit;
  CHECK_THROWS_AS(predict::registration_of(r.at("far.jsonl")), RefusedError);
  const predict::Registration without = predict::registration_of(r.at("far.jsonl"), Commit::optional);
  CHECK(without.commit.empty());
  r.git("add far.jsonl");
  r.git("commit -qm foretold");
  const predict::Registration with = predict::registration_of(r.at("far.jsonl"), Commit::optional);
  CHECK(with.commit.size() == 40);
  CHECK(with.hash == without.hash);
}
