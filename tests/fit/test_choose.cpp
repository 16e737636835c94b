#include "fit/choice/choose.hpp"

#include <cmath>
#include <numbers>

#include "base/error.hpp"
#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using namespace loglog::testing;
using Catch::Matchers::Contains;

namespace {

Table table_of(const Runs& runs) {
  Table table("runs.csv");
  for (std::size_t v = 0; v < runs.variables.size(); ++v) table.add(runs.variables[v], runs.columns[v]);
  table.add("loss", runs.loss);
  return table;
}

std::vector<const Law*> named(const std::vector<std::string>& names) {
  std::vector<const Law*> list;
  for (const std::string& name : names) list.push_back(find_law(name));
  return list;
}

}  // namespace

TEST_CASE("a form that is clearly better wins, and one that cannot be fitted is said") {
  const Table table = table_of(lab_sweep(0.003, 1));
  const Choice choice = choose(table, named({"chinchilla-no-floor", "chinchilla"}), {});
  CHECK(choice.winner == "chinchilla");
  CHECK(choice.undecided.empty());
  REQUIRE(choice.ranked[1].law == "chinchilla-no-floor");
  CHECK(choice.ranked[1].to_best.decided);
  CHECK(choice.ranked[1].aicc > choice.ranked[0].aicc + 10);
  CHECK(choice.held_out_runs == choice.held_out);
  CHECK(to_json(choice)["winner"] == "chinchilla");
  CHECK_THAT(to_text(choice), Contains("chinchilla predicts held-out runs better"));
}

TEST_CASE("where both forms are true the choice is refused, whichever has the smaller error") {
  Truth tied;
  tied.beta = tied.alpha, tied.B = std::pow(5e4, tied.alpha);
  int wrong = 0, above = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    ChooseOptions options;
    options.resamples = 200, options.seed = seed, options.threads = 2;
    const Choice choice =
        choose(table_of(lab_sweep(0.01, 50 + seed, tied)), named({"chinchilla", "chinchilla-tied"}), options);
    const Comparison& gap = choice.ranked[1].to_best;  // around what was found, though resamples err more
    above += gap.difference - gap.low < 0 || gap.high - gap.difference < 0 ? 1 : 0;
    wrong += choice.winner == "chinchilla" ? 1 : 0;
  }
  CHECK(above == 0);
  CHECK(wrong <= 3);  // of a true 5%, four or more have probability 2%
}

TEST_CASE("few held-out runs decide nothing") {
  Runs runs = empty_runs({"N"});
  for (int i = 0; i < 7; ++i) add_run(runs, {1e5 * std::pow(4.0, i)}, 1 + 30 * std::pow(4.0, -0.3 * i));
  ChooseOptions options;
  options.plan = holdout_named("expanding");
  const Choice choice = choose(table_of(runs), named({"power-N", "power-N-floor"}), options);
  CHECK(choice.winner.empty());
  CHECK(choice.undecided == std::vector<std::string>{"power-N-floor", "power-N"});
  CHECK_THAT(choice.verdict, Contains("2 held-out runs are too few to tell"));
}

TEST_CASE("a law that cannot be fitted is ranked last with the reason, and two must be left") {
  Runs runs = empty_runs({"N", "D"});  // one size: no law of N, but laws of D
  const Truth truth;
  for (int i = 0; i < 30; ++i) {
    const double D = 1e6 * std::pow(1.3, i);
    add_run(runs, {1e6, D}, truth.loss(1e6, D));
  }
  const Table table = table_of(runs);
  ChooseOptions options;
  options.plan = holdout_named("D<1e8");
  const Choice choice = choose(table, named({"power-N", "power-D", "power-D-floor"}), options);
  CHECK(choice.winner == "power-D-floor");
  CHECK(choice.ranked.back().law == "power-N");
  CHECK_THAT(choice.ranked.back().refusal, Contains("one value of N"));
  CHECK(to_json(choice)["laws"][2]["refused"].is_string());
  CHECK_THROWS_WITH(choose(table, named({"power-N", "power-D"}), options),
                    Contains("nothing to choose from"));
  CHECK_THROWS_AS(choose(table, named({"power-D"}), options), UsageError);
  CHECK_THROWS_AS(choose(table, named({"power-D", "critical-batch"}), options), UsageError);
}

TEST_CASE("the number of threads changes no byte of a choice") {
  const Table table = table_of(lab_sweep(0.01, 3));
  const auto text = [&](int threads) {
    ChooseOptions options;
    options.threads = threads, options.resamples = 100;
    return to_json(choose(table, named({"chinchilla", "chinchilla-tied", "kaplan"}), options)).dump();
  };
  CHECK(text(1) == text(3));
}

TEST_CASE("AICc is that of normal noise for a large delta and of Laplace's for a small one") {
  const int n = 40, p = 3;
  const double k = p + 1, penalty = 2 * k + 2 * k * (k + 1) / (n - k - 1);
  const double squares = 0.02;  // F is half of it
  CHECK(huber_aicc(squares / 2, 10, n, p) ==
        Approx(n * (std::log(2 * std::numbers::pi * squares / n) + 1) + penalty));
  const double sum = 0.5, delta = 1e-9;  // of absolute residuals: F is delta times it
  CHECK(huber_aicc(delta * sum, delta, n, p) ==
        Approx(2 * n * (std::log(2 * sum / n) + 1) + penalty).epsilon(1e-5));
  CHECK(std::isinf(huber_aicc(squares, 1, 5, 3)));
}

TEST_CASE("laws that go with the columns of a table") {
  Table table("x");
  table.add("C", std::vector<double>{1, 2});
  CHECK(default_laws(table) == std::vector<std::string>{"power-C-floor", "power-C"});
  table.add("N", std::vector<double>{1, 2});
  table.add("D", std::vector<double>{1, 2});
  CHECK(default_laws(table).front() == "chinchilla");
  CHECK_THROWS_AS(default_laws(Table("empty")), UsageError);
}
