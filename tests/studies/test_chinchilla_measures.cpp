// Statistics of the study chinchilla, where the truth is known.
#include "studies/chinchilla_measures.hpp"

#include <fmt/format.h>

#include <cmath>

#include "base/rng.hpp"
#include "base/stats.hpp"
#include "quick_manifest.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::studies;
using Catch::Contains;

namespace {

// L = E + A / N^0.5 + B / D^0.5 around N_opt, so that a is 0.5; C = 6 N D.
double law(double N, double D) {
  return 1.2 + 100 / std::sqrt(N) + 400 / std::sqrt(D);
}

fit::Table rows_of(const std::vector<double>& budgets, double noise, double shift = 0,
                   std::uint64_t seed = 1) {
  std::vector<double> N, D, C, loss, of;
  const Rng rng(seed, 0);
  for (const double budget : budgets)
    for (int i = 0; i < 6; ++i) {
      const double n = 100 / 400.0 * std::sqrt(budget / 6) * std::pow(1.6, i - 2.5);
      N.push_back(n), C.push_back(budget), D.push_back(budget / 6 / n), of.push_back(budget);
      // A shift in ln N, that grows towards the cheap rows, moves the minimum there.
      const double moved = n * std::exp(-shift * std::log(budgets.back() / budget));
      loss.push_back(law(moved, budget / 6 / moved) * std::exp(noise * rng.normal(N.size())));
    }
  fit::Table table("rows");
  table.add("N", N), table.add("D", D), table.add("C", C), table.add("loss", loss), table.add("budget", of);
  return table;
}

const std::vector<double> kBudgets = {3e11, 1e12, 3e12, 1e13};

Workplace workplace() {
  Workplace w;
  w.threads = 2;
  return w;
}

Manifest manifest() {
  return quick_manifest("chinchilla");
}

}  // namespace

TEST_CASE("exponents of a known law, and that they agree") {
  const RowFits rows = fit_rows(rows_of(kBudgets, 0.001), manifest(), workplace());
  CHECK(rows.refusal.empty());
  REQUIRE(rows.isoflop);
  const Finding a = exponents({}, rows, manifest());
  REQUIRE(a.measures.size() == 3);
  for (const Measure& m : a.measures) {
    INFO(m.name);
    CHECK(m.value == Approx(0.5).margin(0.06));
    CHECK(m.quantile(0.001) < 0.5);
    CHECK(m.quantile(0.999) > 0.5);
    CHECK(m.falsified == m.high);
    CHECK(m.null == 0.73);
  }
  const Finding gaps = agreement({}, rows, manifest());
  REQUIRE(gaps.measures.size() == 3);
  for (const Measure& m : gaps.measures) {
    CHECK(m.value < 0.1);
    CHECK(*std::ranges::min_element(m.samples) >= 0);
  }
}

TEST_CASE("another law has another exponent") {
  const RowFits rows = fit_rows(rows_of(kBudgets, 0.001, 0.2), manifest(), workplace());
  REQUIRE(rows.isoflop);
  CHECK(rows.isoflop->optimum.front().value < 0.4);
}

TEST_CASE("rows without a law cannot be tested, with the reason") {
  const RowFits rows = fit_rows(rows_of({1e12}, 0.001).select({0, 1, 2}), manifest(), workplace());
  CHECK_FALSE(rows.refusal.empty());
  CHECK(exponents({}, rows, manifest()).untestable == rows.refusal);
  CHECK(extrapolated({}, foretell(rows, manifest(), workplace()), manifest()).untestable == rows.refusal);
}

TEST_CASE("the dearest row is foretold from the others") {
  const RowFits rows = fit_rows(rows_of(kBudgets, 1e-4), manifest(), workplace());
  const Foretold f = foretell(rows, manifest(), workplace());
  REQUIRE(f.refusal.empty());
  CHECK(f.loss == Approx(f.seen_loss).epsilon(0.003));
  CHECK(f.N == Approx(f.seen_N).epsilon(0.1));
  const Finding finding = extrapolated({}, f, manifest());
  REQUIRE(finding.measures.size() == 2);
  for (const Measure& m : finding.measures) {
    CHECK(m.value < m.high);
    CHECK(m.quantile(0.99) < m.high);
    CHECK(m.undefined < 0.01);
  }
  fit::Table broken = rows_of(kBudgets, 1e-4);  // the law breaks off: the dearest row is 3% worse
  std::vector<double> loss = broken.numbers("loss");
  for (std::size_t i = 18; i < loss.size(); ++i) loss[i] *= 1.03;
  broken.rename("loss", "law"), broken.add("loss", loss);
  const RowFits other = fit_rows(broken, manifest(), workplace());
  CHECK(extrapolated({}, foretell(other, manifest(), workplace()), manifest()).measures[0].value > 0.02);
}

TEST_CASE("a duel counts pairs of one seed, and only where the larger model is too large") {
  const RowFits rows = fit_rows(rows_of(kBudgets, 0.001), manifest(), workplace());
  const double best = 100 / 400.0 * std::sqrt(1e12 / 6);
  const auto table = [&](double large) {
    fit::Table t("duel");
    t.add("N", std::vector<double>{best, large, best, large, best});
    t.add("D", std::vector<double>{1e6, 3e5, 1e6, 3e5, 1e6});
    t.add("C", std::vector<double>(5, 1e12));
    t.add("loss", std::vector<double>{2.0, 2.1, 2.01, 2.12, 2.02});
    t.add("seed", std::vector<double>{1, 1, 2, 2, 3});
    return t;
  };
  const Duel duel = duel_of(table(4 * best), rows);
  CHECK(duel.N_opt == Approx(best).epsilon(0.1));
  REQUIRE(duel.gains.size() == 2);
  CHECK(duel.gains[0] == Approx(std::log(2.1 / 2.0)));
  const Finding won = won_by_smaller({}, duel, manifest());
  REQUIRE(won.measures.size() == 1);
  CHECK(won.measures[0].value == Approx(0.051).margin(0.003));
  CHECK(won.measures[0].null == 0);
  CHECK_THAT(won_by_smaller({}, duel_of(table(1.5 * best), rows), manifest()).untestable,
             Contains("not 2 times"));
}

TEST_CASE("costs of schedules are those that were built in, whatever the seeds") {
  std::vector<double> horizon, loss, seed;
  const double lengths[] = {1, 1.1, 1.25, 1.5, 2, 5}, costs[] = {0, 0.001, 0.02, 0.04, 0.05, 0.06};
  for (int s = 1; s <= 5; ++s)
    for (int i = 0; i < 6; ++i) {
      if (s == 5 && i == 3) continue;  // a seed that lacks a length is left out
      horizon.push_back(1000 * lengths[i]), seed.push_back(s);
      loss.push_back(2 + costs[i] + 0.01 * s + 1e-4 * Rng(1, 0).normal(loss.size()));
    }
  fit::Table t("schedules");
  for (const char* name : {"N", "D", "C"}) t.add(name, std::vector<double>(loss.size(), 1e6));
  t.add("loss", loss), t.add("seed", seed), t.add("train.horizon", horizon);
  t.add("train.steps", std::vector<double>(loss.size(), 1000));
  const ScheduleCosts c = schedule_costs(t);
  CHECK(c.seeds == 4);
  CHECK(c.degrees == 15);
  REQUIRE(c.costs.size() == 6);
  CHECK(c.costs[2].cost == Approx(0.02).margin(3e-4));
  CHECK(c.seed_sd == Approx(0.01 * std::sqrt(variance(std::vector<double>{1, 2, 3, 4}))).epsilon(0.02));
  const Finding f = horizon_hurts({}, c, manifest());
  REQUIRE(f.measures.size() == 2);
  CHECK(f.measures[0].value == Approx(0.02 / c.seed_sd).epsilon(0.02));
  CHECK(f.measures[1].value < 0.2);
  CHECK(f.measures[0].quantile(0.99) < f.measures[0].value + 0.2);
}

TEST_CASE("the planted law is recovered, and truncated runs are noticed where they differ") {
  CHECK(planted_law(manifest(), workplace()).behaved);
  const fit::Table cooled = rows_of(kBudgets, 0.002);
  const std::vector<double> cheap = {3e11, 1e12, 3e12};
  const auto same = truncated_runs(cooled, rows_of(cheap, 0.002, 0, 7), workplace());
  REQUIRE(same);
  CHECK_FALSE(same->behaved);
  const auto moved = truncated_runs(cooled, rows_of(cheap, 0.002, 0.4), workplace());
  REQUIRE(moved);
  CHECK(moved->behaved);
  CHECK(moved->planted);
  CHECK_FALSE(truncated_runs(cooled.select({0, 1, 2}), cooled, workplace()));
}

TEST_CASE("published runs are fitted as their replication did, or the claim cannot be tested") {
  const Finding none = replayed({}, std::nullopt, manifest());
  CHECK_THAT(none.untestable, Contains("--replay"));
  const TemporaryFolder folder;
  std::string csv = "Model Size,Training FLOP,loss\n";
  const Rng rng(3, 0);
  for (int i = 0; i < 80; ++i) {
    const double N = 1e8 * std::pow(100.0, rng.uniform(2 * i)),
                 D = 1e9 * std::pow(300.0, rng.uniform(2 * i + 1));
    const double loss = 1.8172 + 482.01 / std::pow(N, 0.3478) + 2085.43 / std::pow(D, 0.3658);
    csv += fmt::format("{},{},{}\n", N, 6 * N * D, loss * std::exp(0.002 * rng.normal(1000 + i)));
  }
  const Path file = folder.path() / "runs.csv";
  write_atomically(real_file_system(), file, csv);
  const Replay replay = replay_of(file, 100, workplace());
  CHECK(replay.points == 75);
  const Finding f = replayed({}, replay, manifest());
  REQUIRE(f.measures.size() == 6);
  for (const std::size_t i : {0u, 2u, 4u}) {
    INFO(f.measures[i].name);
    CHECK(f.measures[i].value < 1);
    CHECK(f.measures[i].samples.empty());
  }
}
