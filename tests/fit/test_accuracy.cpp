// Published sweeps: what `loglog fit --selftest accuracy` demands.
#include "fit/selftest/accuracy.hpp"

#include "base/error.hpp"
#include "fit/shared_data.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using loglog::testing::shared_fitdata;

TEST_CASE("every published sweep gives what is required of it") {
  for (const AccuracyCheck& check : accuracy_checks()) {
    if (!check.file.empty() && shared_fitdata(check.file).empty()) return;
    const auto requirements = run_check(check, check.file.empty() ? Path() : shared_fitdata(""));
    CHECK_FALSE(requirements.empty());
    for (const Requirement& r : requirements) {
      INFO(check.id << " " << check.title << ": " << r.what << " is " << r.got
                    << ", required: " << r.required);
      CHECK(r.passed);
    }
  }
}

TEST_CASE("a check that throws, or whose data is not there, has failed") {
  AccuracyCheck check = accuracy_checks().front();
  const auto absent = run_check(check, "/nonexistent");
  REQUIRE(absent.size() == 1);
  CHECK_FALSE(absent[0].passed);
  CHECK_THAT(absent[0].required, Catch::Contains("/nonexistent"));
  check.run = [](const Path&) -> std::vector<Requirement> { throw InputError("no good"); };
  CHECK_FALSE(run_check(check, "")[0].passed);
}
