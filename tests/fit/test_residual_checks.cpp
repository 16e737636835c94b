// Lack of fit, rows that are alike, and variables that move together.
#include "fit/residual_checks.hpp"

#include <cmath>

#include "fit/selftest/designs.hpp"
#include "fit/solve.hpp"
#include "fit/surface.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using Catch::Matchers::Contains;

namespace {

double true_loss(Place p) {
  return CoverageTruth().loss(p.N, p.D);
}
Runs sweep(double noise, std::uint64_t number, const std::function<double(Place)>& law = true_loss) {
  return runs_of(lab40(), losses_of(lab40(), law, normal_noise(noise), 3, number));
}
std::optional<LackOfFit> lack_of(const Runs& runs) {
  const Points points(*find_law("chinchilla"), runs.columns, runs.loss);
  return lack_of_fit(points, runs, {10}, solve(points, runs.weight, {10}).theta);
}
bool warns(const FitResult& r, std::string_view of) {
  return std::ranges::any_of(r.warnings, [of](const auto& w) { return w.find(of) != w.npos; });
}
FitResult fit_of(const Runs& runs) {
  return fit_surface(*find_law("chinchilla"), runs, {std::nullopt, {IntervalKind::automatic, 0}});
}

}  // namespace

TEST_CASE("of a law that holds p is uniform, of one that bends it is next to nothing") {
  int below_half = 0, below_tenth = 0;
  constexpr int kSweeps = 100;
  for (std::uint64_t s = 0; s < kSweeps; ++s) {
    const auto lack = lack_of(sweep(0.003, s));
    REQUIRE(lack);
    CHECK(lack->terms == 7);
    CHECK(lack->degrees == 28);
    below_half += lack->p < 0.5 ? 1 : 0;
    below_tenth += lack->p < 0.1 ? 1 : 0;
  }
  CHECK(std::abs(below_half - 50) <= 18);
  CHECK(below_tenth <= 20);
  CHECK(below_tenth >= 2);
  const auto broken = [](Place p) { return true_loss(p) + 0.1 * std::max(0.0, std::log(p.N / 2e5)); };
  CHECK(lack_of(sweep(0.003, 1, broken))->p < 1e-3);
  CHECK(warns(fit_of(sweep(0.003, 1, broken)), "lack of fit"));
}

TEST_CASE("nothing is said of a law that goes through its points, or of too few of them") {
  CHECK_FALSE(lack_of(sweep(0, 1)));
  Runs few = sweep(0.003, 1);
  for (auto& column : few.columns) column.resize(12);
  few.loss.resize(12), few.weight.resize(12), few.cluster.resize(12), few.row.resize(12), few.clusters = 12;
  const auto lack = lack_of(few);
  CHECK((!lack || lack->degrees >= 2));
}

TEST_CASE("checkpoints that pass for runs are seen by their residuals") {
  Runs runs = checkpoints_of_runs(1, 1);
  CHECK_FALSE(warns(fit_of(runs), "not independent"));  // their run is known
  for (int i = 0; i < runs.size(); ++i) runs.cluster[static_cast<std::size_t>(i)] = i;
  runs.clusters = runs.size();
  CHECK(warns(fit_of(runs), "not independent"));
  CHECK_FALSE(warns(fit_of(sweep(0.003, 2)), "not independent"));
}

TEST_CASE("variables that move together are not identified, and a little apart they are told apart") {
  const auto at_ratio = [](double wobble) {
    std::vector<Place> places = constant_ratio();
    for (std::size_t i = 0; i < places.size(); ++i) places[i].D *= i % 2 == 0 ? 1 + wobble : 1 / (1 + wobble);
    return runs_of(places, losses_of(places, true_loss, normal_noise(0.003), 1, 1));
  };
  const FitResult together = fit_of(at_ratio(0));
  CHECK(warns(together, "move together"));
  CHECK_FALSE(together.identified);
  CHECK(together.optimum.empty());
  CHECK(warns(fit_of(at_ratio(0.02)), "move together"));
  CHECK_FALSE(warns(fit_of(at_ratio(1)), "move together"));
}
