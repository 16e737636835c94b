#include "report/from_store.hpp"

#include "base/error.hpp"
#include "report/from_fit.hpp"
#include "report/sample_store.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::report;
using Catch::Contains;

TEST_CASE("runs, fits, exclusions and circumstances come from the store") {
  const TemporaryFolder folder;
  sweep::Store store(folder.path() / "sample.db", sweep::Store::Mode::create);
  const report::SweepReport sample = report::sample_report(7);
  fill(store, sample);
  report::ReportOptions options;
  options.bootstrap = 60;
  const report::SweepReport page = report::report_of(store, options);
  REQUIRE(page.title == "sample");
  REQUIRE(page.runs.size() == sample.runs.size());
  std::vector<std::string> excluded;
  for (const report::ReportRun& run : page.runs) {
    if (!run.excluded.empty()) excluded.push_back(run.excluded);
  }
  REQUIRE(excluded.size() == 2);
  REQUIRE_THAT(excluded[0] + excluded[1], Contains("loss is NaN in step 90") && Contains("no result yet"));
  REQUIRE(page.fits.size() == 2);
  const report::LawFit& law = page.fits[0];
  const std::string left_out = law.json["excluded"].dump();  // in the data of the page as in its table
  REQUIRE_THAT(left_out,
               Contains("status is diverged: loss is NaN in step 90") && Contains("status is queued"));
  REQUIRE_THAT(left_out, !Contains("status is excluded"));
  REQUIRE(law.refusal == "");
  REQUIRE(law.runs == sample.runs.size() - 2);
  // The sample's noise is 0.3%: its exponents come back, and so does its frontier.
  REQUIRE(law.params[0].first == "E");
  REQUIRE(law.params[0].second.value == Approx(1.2).margin(0.1));
  REQUIRE(law.predict({3000, 1e6}) == Approx(report::sample_law(3000, 1e6)).epsilon(0.01));
  REQUIRE(law.frontier.size() > 2);
  for (const report::FrontierPoint& point : law.frontier) {
    REQUIRE(point.n.value == Approx(0.0546 * std::sqrt(point.c)).epsilon(0.5));
    REQUIRE(point.n.lo <= point.n.value);
    REQUIRE(point.n.value <= point.n.hi);
  }
  REQUIRE_THAT(page.warnings.front(), Contains("1 of 28 runs have no result yet"));
  REQUIRE(report::data_of(store, {}).context == 64);
}

TEST_CASE("a law that cannot be fitted is a refusal on the page, an unknown one the user's error") {
  const TemporaryFolder folder;
  sweep::Store store(folder.path() / "small.db", sweep::Store::Mode::create);
  report::SweepReport sample = report::sample_report();
  sample.runs.resize(4);
  fill(store, sample);
  const report::SweepReport page = report::report_of(store, {});
  REQUIRE_THAT(page.fits[0].refusal, Contains("at least 7"));
  report::ReportOptions options;
  options.laws = {"chinchila"};
  REQUIRE_THROWS_WITH(report::report_of(store, options), Contains("chinchilla"));
}

TEST_CASE("the band of a frontier follows the rule of the table's intervals") {
  // With two runs more than parameters the t of the intervals is far from 1.96: the ends are the extreme resamples.
  const fit::Procedure& chinchilla = fit::find_procedure("chinchilla");
  fit::FitResult result;
  result.theta = {std::log(12.0), std::log(60.0), std::log(1.2), 0.4, 0.4};
  result.optimum = {{"a", 0.5, 0.4, 0.6}};
  std::vector<fit::Vector> samples;
  for (int i = 0; i < 101; ++i) {
    samples.push_back(result.theta);
    samples.back()[0] += 0.01 * (i - 50);
  }
  const report::SweepReport sample = report::sample_report();
  const auto end = [&](double t) {
    result.intervals = fit::percentile_intervals(samples, t);
    return report::law_fit(chinchilla, result, sample.runs).frontier.front().n;
  };
  const report::Estimate plain = end(1.96);
  const report::Estimate wide = end(6);
  REQUIRE(wide.lo < 0.985 * plain.lo);
  REQUIRE(wide.hi > 1.015 * plain.hi);
  const auto size = [&](int i) {  // N_opt = (A/B)^(1/0.8) sqrt(D N)
    return wide.value * std::exp(0.01 * (i - 50) / 0.8);
  };
  REQUIRE(wide.hi == Approx(size(100)).epsilon(1e-4));
  REQUIRE(plain.hi == Approx(size(98) * std::exp(0.45 * 0.01 / 0.8)).epsilon(1e-3));
  REQUIRE(std::isnan(end(fit::kNoInterval).lo));
}

TEST_CASE("the bar of a budget's minimum has the t of the fit") {
  fit::FitResult result;
  fit::Budget budget;
  budget.C = 1e12;
  budget.used = true;
  budget.N_opt = 1000;
  budget.se_log_N = 0.1;
  result.budgets = {budget};
  result.interval_t = 4;
  const auto fit = report::law_fit(fit::find_procedure("isoflop"), result, {});
  REQUIRE(fit.budgets[0].best_n->lo == Approx(1000 * std::exp(-0.4)));
  REQUIRE(fit.budgets[0].best_n->hi == Approx(1000 * std::exp(0.4)));
}

TEST_CASE("a store without a finished run is refused") {
  const TemporaryFolder folder;
  sweep::Store store(folder.path() / "empty.db", sweep::Store::Mode::create);
  REQUIRE_THROWS_AS(report::report_of(store, {}), RefusedError);
  store.add(std::vector<sweep::RunSpec>{spec_of(report::sample_report().runs[0], 0)});
  REQUIRE_THROWS_WITH(report::report_of(store, {}), Contains("no finished run"));
}

TEST_CASE("the known floor is that of the runs' context") {
  const auto meta = nlohmann::json::parse(R"({"entropy": {"unit": "nats/token", "rate": 1.5, "floors": [
      {"context": 32, "block": 1.9, "validation_loss": 1.8}, {"context": 64, "block": 1.7, "validation_loss": 1.6}]}})");
  const report::KnownFloor floor = report::known_floor(meta, 64);
  REQUIRE(floor.entropy_rate == 1.5);
  REQUIRE(floor.validation_loss == 1.6);
  REQUIRE_FALSE(report::known_floor(meta, 128).validation_loss.has_value());
  REQUIRE_FALSE(report::known_floor(nlohmann::json::object(), 64).entropy_rate.has_value());
}
