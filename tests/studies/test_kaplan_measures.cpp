// Statistics of the study kaplan, where the truth is known.
#include "studies/kaplan_measures.hpp"

#include <cmath>

#include "base/rng.hpp"
#include "quick_manifest.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::studies;
using Catch::Contains;

namespace {

Manifest manifest() {
  return quick_manifest("kaplan");
}

Workplace workplace() {
  Workplace w;
  w.threads = 2;
  return w;
}

fit::Table table_of(const std::string& variable, const std::vector<double>& x,
                    const std::vector<double>& loss) {
  fit::Table t("runs");
  t.add(variable, x), t.add("loss", loss);
  return t;
}

const std::vector<double> kSizes = {1e4, 2e4, 5e4, 1e5, 2e5, 4e5, 4e5};

std::vector<double> losses(double floor) {
  std::vector<double> loss;
  for (std::size_t i = 0; i < kSizes.size(); ++i)
    loss.push_back((floor + 10 * std::pow(kSizes[i], -0.15)) * std::exp(1e-4 * Rng(2, 0).normal(i)));
  return loss;
}

}  // namespace

TEST_CASE("the largest size is foretold by a power law where there is one, and not where there is a floor") {
  const ForetoldEnd straight = foretell_end(table_of("N", kSizes, losses(0)), "N", "loss");
  CHECK(straight.largest == 4e5);
  CHECK(straight.runs_there == 2);
  CHECK(straight.foretold == Approx(straight.seen).epsilon(0.001));
  const Finding f = power_law({}, straight, manifest());
  REQUIRE(f.measures.size() == 2);
  CHECK_FALSE(f.single_run);
  CHECK(f.measures[0].value < 0.001);
  CHECK(f.measures[0].quantile(0.99) < 0.01);
  CHECK(f.measures[1].value < 0.05);
  const ForetoldEnd bent = foretell_end(table_of("N", kSizes, losses(2)), "N", "loss");
  CHECK(power_law({}, bent, manifest()).measures[0].value > 0.01);
  CHECK(bent.floor_gain > 10);
}

TEST_CASE("one run at the end is said to be one, and too few runs to be too few") {
  const std::vector<double> few(kSizes.begin(), kSizes.end() - 1), loss = losses(0);
  const auto at = [&](std::size_t n) {
    return foretell_end(table_of("N", {few.begin(), few.begin() + static_cast<std::ptrdiff_t>(n)},
                                 {loss.begin(), loss.begin() + static_cast<std::ptrdiff_t>(n)}),
                        "N", "loss");
  };
  CHECK(power_law({}, at(6), manifest()).single_run);
  CHECK_THAT(power_law({}, at(3), manifest()).untestable, Contains("2 runs below the largest N"));
}

TEST_CASE("rises that depend on N^0.74 / D collapse there, and others do not") {
  Overfit o, unlike;
  for (const double N : {2.5e4, 1e5, 2.3e5})
    for (const double unique : {1e5, 2e5, 4e5, 8e5, 1.6e6}) {
      const double rise = 0.3 * std::pow(std::pow(N / 2.5e4, 0.74) * 1e5 / unique, 0.9);
      o.cells.push_back({N, unique, 2 * (1 + rise), 2});
      unlike.cells.push_back(
          {N, unique, 2 + 2 * 0.01 * std::exp(2 * Rng(5, 0).normal(unlike.cells.size())), 2});
    }
  const Collapse c = collapse_of(o, manifest(), 1);
  CHECK(c.cells == 15);
  CHECK(c.power.value == Approx(0.74).margin(0.03));
  CHECK(c.explained.value > 0.99);
  CHECK(c.power.quantile(0.01) > 0.5);
  CHECK(collapse_of(unlike, manifest(), 1).explained.value < 0.9);
  const Finding f = collapsed({}, c, manifest());
  REQUIRE(f.measures.size() == 2);
  CHECK(f.measures[0].null == 0);
  o.cells.resize(5);
  CHECK_THAT(collapsed({}, collapse_of(o, manifest(), 1), manifest()).untestable, Contains("only 5 cells"));
}

TEST_CASE("cells that rise by less than asked for are left out") {
  Overfit o;
  o.cells = {{1e4, 1e5, 2.002, 2}, {1e4, 1e4, 2.2, 2}, {1e4, 1e6, 1.99, 2}};
  CHECK(o.used(0.003).size() == 1);
}

TEST_CASE("the count that leaves the head out has the larger exponent, measured as foretold") {
  // A law in matrices and head, of models whose head is 256 times their width.
  std::vector<double> N, n_nonemb, D, C, loss, layers, width, heads, context, budget;
  const std::pair<double, double> shapes[] = {{1, 24}, {1, 32}, {2, 32}, {2, 40}, {2, 48},
                                              {2, 64}, {2, 80}, {3, 80}, {4, 96}};
  for (const double b : {2e11, 6e11, 2e12, 6e12})
    for (const auto& [l, w] : shapes) {
      const double ne = 12 * l * w * w, n = ne + 256 * w, d = b / 6 / n;
      N.push_back(n), n_nonemb.push_back(ne), D.push_back(d), C.push_back(b), budget.push_back(b);
      loss.push_back((1 + 60 / std::sqrt(n) + 200 / std::sqrt(d)) *
                     std::exp(2e-4 * Rng(4, 0).normal(N.size())));
      layers.push_back(l), width.push_back(w), heads.push_back(2), context.push_back(128);
    }
  fit::Table t("rows");
  t.add("N", N), t.add("n_nonemb", n_nonemb), t.add("D", D), t.add("C", C), t.add("loss", loss),
      t.add("budget", budget);
  t.add("model.layers", layers), t.add("model.width", width), t.add("model.heads", heads),
      t.add("model.context", context);
  Manifest m = manifest();
  const Accounting a = accounting_of(t, t, m, workplace());
  REQUIRE(a.refusal.empty());
  CHECK(a.a == Approx(0.5).margin(0.03));
  CHECK(a.a_kaplan > a.a + 0.03);
  CHECK(a.a_conditions == a.a_kaplan);  // the same runs here
  CHECK(a.gap_draws.size() == static_cast<std::size_t>(m("resamples")));
  const Finding gap = accounting_gap({}, a, m);
  REQUIRE(gap.measures.size() == 1);
  CHECK(gap.measures[0].quantile(0.01) > 0);
  const std::vector<ForetoldGap> gaps = foretell_gaps(t, workplace());
  REQUIRE(gaps.size() == 5);
  INFO(gaps[1].refusal);
  REQUIRE(gaps[1].refusal.empty());
  CHECK(gaps[1].vocab == 256);
  // N grows as N_nonemb^0.86 at the best sizes, whose head is a fifth of them: 0.5 / (0.5 x 0.86 + 0.5) - 0.5 is 0.04, and as much again at
  // most since that power itself grows towards 1.
  CHECK(gaps[1].gap.value > 0.04);
  CHECK(gaps[1].gap.value < 0.08);
  for (std::size_t i = 1; i < gaps.size(); ++i)
    if (gaps[i].refusal.empty() && gaps[i - 1].refusal.empty())
      CHECK(gaps[i].gap.value > gaps[i - 1].gap.value);
}

TEST_CASE("controls see the exponent that was built in, and no law where there is none") {
  const std::vector<double> D = {1e5, 2e5, 4e5, 8e5};
  const auto world = [&](double exponent) {
    std::vector<double> loss;
    for (const double d : D) loss.push_back(0.5 + std::pow(d, -exponent));
    return table_of("D", D, loss);
  };
  CHECK(planted_exponent(world(0.5), 0.5, 1, manifest()).behaved);
  CHECK_FALSE(planted_exponent(world(0.4), 0.5, 1, manifest()).behaved);
  CHECK_FALSE(planted_exponent(world(0.5), 0.51, 1, manifest()).behaved);  // below the floor
  CHECK(no_law(table_of("N", {1e4, 1e5}, {2.003, 2.001}), 2, manifest()).behaved);
  CHECK_FALSE(no_law(table_of("N", {1e4, 1e5}, {2.1, 2.09}), 2, manifest()).behaved);
  CHECK_FALSE(no_law(table_of("N", {1e4, 1e5}, {2.018, 1.985}), 2, manifest()).behaved);
}
