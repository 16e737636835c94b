// Published sweeps: the optimum that each objective has on them. Values and their origin: fitdata's own notes.
#include <cmath>
#include <optional>

#include "fit/interpolate.hpp"
#include "fit/procedure.hpp"
#include "fit/shared_data.hpp"
#include "fit/surface.hpp"
#include "support/catch.hpp"

using namespace loglog::fit;
using loglog::testing::shared_fitdata;

namespace {

std::optional<Table> chinchilla_points() {
  const auto path = shared_fitdata("chinchilla_svg245/svg_extracted_data.csv");
  if (path.empty()) return std::nullopt;
  Table table = Table::read_csv(path);
  table.rename("Model Size", "N");
  table.rename("Training FLOP", "C");
  table.derive("D=C/(6*N)");
  return table;
}

FitResult fit(const Table& table, const std::string& law, double delta, int drop = 0) {
  ProcedureOptions options;
  options.delta = delta;
  options.drop_highest = drop;
  options.bootstrap = 0;
  return find_procedure(law).run(table, options);
}

double param(const FitResult& r, const std::string& name) {
  for (const Interval& item : r.params) {
    if (item.name == name) return item.value;
  }
  return NAN;
}

}  // namespace

TEST_CASE("P1: the 240 digitised Chinchilla runs reach the optimum of the Huber objective") {
  const auto table = chinchilla_points();
  if (!table) return;
  const FitResult r = fit(*table, "chinchilla", 1e-3, 5);
  REQUIRE(r.n == 240);
  REQUIRE(r.objective <= 1.018274017801e-3 * (1 + 1e-6));
  REQUIRE(param(r, "A") == Approx(477.826).epsilon(1e-2));
  REQUIRE(param(r, "B") == Approx(2143.42).epsilon(1e-2));
  REQUIRE(param(r, "E") == Approx(1.817218).epsilon(1e-3));
  REQUIRE(param(r, "alpha") == Approx(0.347310).epsilon(1e-3));
  REQUIRE(param(r, "beta") == Approx(0.367172).epsilon(1e-3));
  REQUIRE(r.certificate.converged);
  REQUIRE(r.certificate.condition == Approx(33.0).epsilon(0.01));
}

TEST_CASE("P2: all 245 of them") {
  const auto table = chinchilla_points();
  if (!table) return;
  const FitResult r = fit(*table, "chinchilla", 1e-3);
  REQUIRE(r.objective <= 1.826010523069e-3 * (1 + 1e-6));
  REQUIRE(param(r, "beta") == Approx(0.453049).epsilon(1e-3));
  REQUIRE(param(r, "E") == Approx(1.891338).epsilon(1e-3));
}

TEST_CASE("P4: their least squares, which is Huber with a delta beyond every residual") {
  const auto table = chinchilla_points();
  if (!table) return;
  const FitResult r = fit(*table, "chinchilla", 10.0, 5);
  REQUIRE(2 * r.objective <= 1.146190e-2);  // the plain sum of squares
  REQUIRE(param(r, "E") == Approx(1.864550).epsilon(1e-4));
}

TEST_CASE("tied exponents and Kaplan's form on the same points") {
  const auto table = chinchilla_points();
  if (!table) return;
  REQUIRE(fit(*table, "chinchilla-tied", 1e-3, 5).objective <= 1.02217489e-3 * (1 + 1e-6));
  REQUIRE(fit(*table, "kaplan", 1e-3, 5).objective <= 2.66310e-3 * (1 + 1e-5));
}

TEST_CASE("P7: the 234 runs of the chinchilla package") {
  const auto path = shared_fitdata("chinchilla_kyo234/df.csv");
  if (path.empty()) return;
  const FitResult r = fit(Table::read_csv(path), "chinchilla", 1e-3);
  REQUIRE(r.objective <= 8.400931200e-4 * (1 + 1e-6));
  REQUIRE(r.certificate.condition == Approx(39.5).epsilon(0.01));
}

TEST_CASE("P8: the misfitting sweep, and its floor that vanishes without embeddings") {
  const auto path = shared_fitdata("misfitting_c4/scaling_results_last_ckpt_only.csv");
  if (path.empty()) return;
  Table table = Table::read_csv(path);
  REQUIRE(fit(table, "chinchilla", 1e-3).objective <= 5.021660e-3);
  table.rename("N_no_emb", "N");
  const FitResult r = fit(table, "chinchilla", 1e-3);
  REQUIRE(r.objective <= 5.09246e-3);
  REQUIRE(r.certificate.at_bounds == std::vector<std::string>{"E"});
  bool said = false;
  for (const std::string& w : r.warnings) said = said || w.find("not identified") != std::string::npos;
  REQUIRE(said);
}

TEST_CASE("P9: Porian's exponents from their points by Akima's curve") {
  const auto path = shared_fitdata("isoflop_porian_refinedweb/isoflop_points.csv");
  if (path.empty()) return;
  struct Expected {
    const char* config;
    double exponent;
  };
  for (const Expected& expected : {Expected{"1_reproduce_kaplan", 0.8348},
                                   {"2_count_last_layer", 0.7003},
                                   {"3_fix_warmup", 0.6055},
                                   {"4_cosine_decay", 0.5715},
                                   {"5_tuned_no_decay", 0.4970},
                                   {"kaplan_counting_tuned", 0.7076}}) {
    INFO(expected.config);
    Table table = Table::read_csv(path);
    std::vector<int> rows;
    for (int row = 0; row < table.rows(); ++row) {
      if (table.texts("config")[static_cast<std::size_t>(row)] == expected.config) rows.push_back(row);
    }
    table = table.select(rows);
    table.rename("params", "N");
    table.rename("tokens", "D");
    table.rename("flops", "C");
    ProcedureOptions options;
    options.interpolation = "akima";
    options.sides = 1;  // their rule: the minimum is not the first or the last size
    options.bootstrap = 0;
    const FitResult r = find_procedure("isoflop").run(table, options);
    REQUIRE(r.optimum[0].value == Approx(expected.exponent).margin(0.004));
  }
}
