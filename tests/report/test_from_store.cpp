#include "report/from_store.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "sample_report.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using Catch::Contains;

namespace {

sweep::RunSpec spec_of(const report::ReportRun& run, int number) {
  sweep::RunSpec spec;
  spec.identity = fmt::format("{:032x}", number);
  spec.name = run.name;
  spec.size = run.size;
  spec.config = R"({"data": {"path": "facts.tok"}, "model": {"context": 64}})";
  spec.data_checksum = "00000000000000aa";
  spec.budget = run.budget;
  spec.seed = 1;
  spec.n = run.n;
  spec.d = run.d;
  spec.c = run.c;
  return spec;
}

// A store with the runs of the sample, the second one diverged and the last one still waiting.
void fill(sweep::Store& store, const report::SweepReport& sample) {
  std::vector<sweep::RunSpec> specs;
  for (const report::ReportRun& run : sample.runs)
    specs.push_back(spec_of(run, static_cast<int>(specs.size())));
  store.add(specs);
  for (std::size_t i = 0; i + 1 < specs.size(); ++i) {
    sweep::Outcome outcome;
    outcome.end = R"({"epochs": 0.5, "isa": "avx2", "threads": 1})";
    outcome.loss = sample.runs[i].loss;
    outcome.seconds = 2;
    outcome.curve = {{1, 100, 3.0, {}}, {2, 200, 2.5, {}}, {3, 300, 2.4, 2.4}};
    if (i == 1) {
      outcome.state = sweep::State::diverged;
      outcome.loss.reset();
      outcome.error = "loss is NaN in step 90";
    }
    REQUIRE(store.import(std::vector<sweep::FinishedRun>{{specs[i], outcome}}).merged == 1);
  }
}

}  // namespace

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
  REQUIRE_THAT(excluded[0] + excluded[1], Contains("loss is NaN in step 90") && Contains("queued"));
  REQUIRE(page.fits.size() == 2);
  const report::LawFit& law = page.fits[0];
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
