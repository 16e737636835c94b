#include "fit/selftest/laws.hpp"

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;

TEST_CASE("every law and procedure passes its self-test, and degenerate sweeps are called so") {
  const std::vector<SelfCheck> checks = selftest();
  REQUIRE(checks.size() == procedures().size() + 2);
  for (std::size_t i = 0; i < checks.size(); ++i) {
    INFO(checks[i].name << ": " << checks[i].detail);
    if (i < procedures().size()) REQUIRE(checks[i].name == procedures()[i].name);
    REQUIRE(checks[i].passed);
  }
}

TEST_CASE(
    "the self-test sees a wrong value, a missing one, a fit that is not identified and one that throws") {
  const auto procedure = [](std::function<FitResult(const Table&, const ProcedureOptions&)> run) {
    return Procedure{"mine", "", "", {}, "loss", {}, std::move(run)};
  };
  FitResult result;
  result.params = {{"E", 1.5}};
  result.optimum = {{"a", 0.5}};
  const auto fixed = [&](const FitResult& r) {
    return procedure([r](const Table&, const ProcedureOptions&) { return r; });
  };
  const Table none("none");
  REQUIRE(check_recovery(fixed(result), none, {{"E", 1.5}, {"a", 0.5}}).passed);
  REQUIRE(check_recovery(fixed(result), none, {{"E", 1.5 * (1 + 9e-7)}, {"a", 0.5}}).passed);
  REQUIRE_FALSE(check_recovery(fixed(result), none, {{"E", 1.5}, {"a", 0.5 * (1 + 2e-6)}}).passed);
  REQUIRE_FALSE(check_recovery(fixed(result), none, {{"E", 1.5}, {"beta", 0.5}}).passed);
  result.identified = false;
  REQUIRE_FALSE(check_recovery(fixed(result), none, {{"E", 1.5}}).passed);
  result.identified = true;
  result.has_certificate = true;  // and not converged
  REQUIRE_FALSE(check_recovery(fixed(result), none, {{"E", 1.5}}).passed);
  result.has_certificate = false;
  result.params[0].value = std::numeric_limits<double>::quiet_NaN();
  REQUIRE_FALSE(check_recovery(fixed(result), none, {{"a", 0.5}, {"E", 1.5}}).passed);
  const SelfCheck thrown = check_recovery(procedure([](const Table&, const ProcedureOptions&) -> FitResult {
                                            throw InputError("no points at all");
                                          }),
                                          none, {{"E", 1.5}});
  REQUIRE_FALSE(thrown.passed);
  REQUIRE(thrown.detail == "no points at all");
}
