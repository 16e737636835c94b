// The study of compute-optimal training from training to page, on runs of a few steps.
#include "small_study.hpp"
#include "studies/page.hpp"
#include "studies/result_json.hpp"

using namespace loglog;
using namespace loglog::studies;
using namespace loglog::testing;
using Catch::Contains;

namespace {

Manifest small_manifest() {
  return manifest_with(
      "chinchilla", {{"resamples = 4000", "resamples = 100"}, {"planted_draws = 200", "planted_draws = 40"}});
}

// A thousandth of the compute, in windows of 16.
std::string shrunk(std::string sweep) {
  sweep =
      replaced(std::move(sweep), {{"context = 128", "context = 16"}, {"tokens = 262144", "tokens = 2048"}});
  if (sweep.find("chinchilla-schedule") != std::string::npos)
    return replaced(std::move(sweep),
                    {{"tokens = [1e6]", "tokens = [2000]"}, {"[1, 2, 3, 4, 5]", "[1, 2, 3]"}});
  if (sweep.find("chinchilla-duel") != std::string::npos)
    return replaced(std::move(sweep), {{"budgets = [1e12]", "budgets = [1e9]"}, {"[1, 2, 3, 4]", "[1, 2]"}});
  return replaced(std::move(sweep), {{"3e11", "3e8"},
                                     {"1e12", "1e9"},
                                     {"3e12", "3e9"},
                                     {"1e13", "1e10"},
                                     {"C < 2e12", "C < 2e9"},
                                     {"C < 5e11", "C < 5e8"},
                                     {"keep = \"epochs <= 1\"", "keep = \"1\""},
                                     {"flops = 3e11", "flops = 3e8"},
                                     {"flops = 1e12", "flops = 1e9"},
                                     {"flops = 3e12", "flops = 3e9"},
                                     {"round(2e7", "round(2e4"}});
}

Workplace workplace() {
  return small_workplace(trained_run(), "chinchilla", shrunk);
}

const Result& result() {
  static const Result r = judged_result("chinchilla", small_manifest(), workplace());
  return r;
}

}  // namespace

TEST_CASE("every claim has a verdict and either a reason or measures") {
  REQUIRE(result().findings.size() == 6);
  for (const Finding& f : result().findings) {
    INFO(f.claim.id << " " << f.why);
    CHECK_FALSE(f.why.empty());
    CHECK((f.untestable.empty() ? !f.measures.empty() : f.verdict == Verdict::not_testable));
  }
  CHECK_THAT(result().findings[0].untestable, Contains("--replay"));
  CHECK(result().findings[5].measures.size() == 2);
  for (const Measure& m : result().findings[5].measures) CHECK(m.samples.size() > 1000);
}

TEST_CASE("runs, controls and tables are on the page, which comes back from its file") {
  const std::string page = markdown(result(), "p");
  CHECK_THAT(page, Contains("rows: 38 runs of 10 sizes") && Contains("rows without a cooldown: 18 runs") &&
                       Contains("duel: 4 runs of 2 sizes") && Contains("schedules: 18 runs of 1 sizes"));
  CHECK(result().controls.front().behaved);
  CHECK_THAT(page, Contains("## Schedules longer than the run"));
  CHECK(markdown(from_json(to_json(result()), "f"), "p") == page);
}

TEST_CASE("a stop ends it without a result") {
  result();
  Workplace w = workplace();
  w.train = [](const Training&) { return false; };
  CHECK_FALSE(find_study("chinchilla").run(small_manifest(), w));
}
