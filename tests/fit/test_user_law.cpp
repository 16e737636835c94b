// Jets against derivatives by hand, and laws that a user writes against the same laws built in.
#include <cmath>

#include "base/error.hpp"
#include "fit/formula_form.hpp"
#include "fit/surface.hpp"
#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using namespace loglog::testing;
using Catch::Matchers::Contains;

TEST_CASE("a jet has the derivatives that one takes by hand") {
  const double x = 1.3, y = 0.7;
  const Jet a = Jet::variable(x, 0), b = Jet::variable(y, 1);
  const auto check = [](const Jet& f, double v, double fx, double fy, double fxx, double fxy, double fyy) {
    CHECK(f.value() == Approx(v));
    CHECK(f.gradient(0) == Approx(fx));
    CHECK(f.gradient(1) == Approx(fy).margin(1e-15));
    CHECK(f.hessian(0, 0) == Approx(fxx).margin(1e-15));
    CHECK(f.hessian(0, 1) == Approx(fxy).margin(1e-15));
    CHECK(f.hessian(1, 0) == f.hessian(0, 1));
    CHECK(f.hessian(1, 1) == Approx(fyy).margin(1e-15));
  };
  check(a * a * b, x * x * y, 2 * x * y, x * x, 2 * y, 2 * x, 0);
  check(a / b, x / y, 1 / y, -x / (y * y), 0, -1 / (y * y), 2 * x / (y * y * y));
  check(exp(a - 2 * b), std::exp(x - 2 * y), std::exp(x - 2 * y), -2 * std::exp(x - 2 * y),
        std::exp(x - 2 * y), -2 * std::exp(x - 2 * y), 4 * std::exp(x - 2 * y));
  check(log(a + b), std::log(x + y), 1 / (x + y), 1 / (x + y), -1 / std::pow(x + y, 2),
        -1 / std::pow(x + y, 2), -1 / std::pow(x + y, 2));
  check(sqrt(a), std::sqrt(x), 0.5 / std::sqrt(x), 0, -0.25 * std::pow(x, -1.5), 0, 0);
  const double p = std::pow(x, y), l = std::log(x);
  check(pow(a, b), p, y * p / x, l * p, y * (y - 1) * p / (x * x), p / x + y * l * p / x, l * l * p);
  check(pow(-a, Jet(3)), -x * x * x, -3 * x * x, 0, -6 * x, 0, 0);  // a whole power of what is negative
  CHECK(Jet(2).gradient(0) == 0);
}

TEST_CASE("a law that is written gives the fit of the one that is built in") {
  const Runs runs = lab_sweep(0.01, 3);
  const FitResult built_in = fit_surface(*find_law("chinchilla"), runs, {1e-2, {IntervalKind::profile, 1}});
  const Law law = law_of_formula("L = E + A / N^alpha + B / D^beta", {"N", "D", "loss", "seed"}, {});
  CHECK(law.variables == std::vector<std::string>{"N", "D"});
  CHECK(law.response == "loss");
  const FitResult written = fit_surface(law, runs, {1e-2, {IntervalKind::profile, 1}});
  CHECK(written.objective == Approx(built_in.objective).epsilon(1e-9));
  REQUIRE(written.params.size() == 5);
  for (const Interval& theirs : built_in.params)
    for (const Interval& ours : written.params) {
      if (ours.name != theirs.name) continue;
      INFO(ours.name);
      CHECK(ours.value == Approx(theirs.value).epsilon(1e-5));
      CHECK(ours.low == Approx(theirs.low).epsilon(1e-3));
      CHECK(ours.high == Approx(theirs.high).epsilon(1e-3));
    }
}

TEST_CASE("parameters in which the loss is linear are coefficients, the others are looked for") {
  const Law law =
      law_of_formula("L = E + A * B * N^-alpha + max(0, C) * log(N)", {"N"}, {"alpha=0.1:1", "B=-2:2"});
  const auto& parameters = dynamic_cast<const FormulaForm&>(*law.form).parameters();
  const auto of = [&](const std::string& name) {
    return *std::ranges::find(parameters, name, &ParameterRange::name);
  };
  CHECK(of("E").coefficient);
  CHECK(of("A").coefficient);
  CHECK_FALSE(of("B").coefficient);  // with A it is no longer linear; and it has a range
  CHECK_FALSE(of("B").positive);
  CHECK_FALSE(of("alpha").coefficient);
  CHECK(of("alpha").low == 0.1);
  CHECK(law.form->floor_index() == 0);
}

TEST_CASE("another column may be the one that a law predicts") {
  const Law law = law_of_formula("D_T = k * D_F^a", {"D_F", "D_T"}, {});
  CHECK(law.response == "D_T");
  CHECK(law.variables == std::vector<std::string>{"D_F"});
}

TEST_CASE("formulas that cannot be are refused by name") {
  const auto refused = [](const std::string& formula, const std::vector<std::string>& ranges,
                          const std::string& why) {
    INFO(formula);
    CHECK_THROWS_AS(law_of_formula(formula, {"N", "D"}, ranges), UsageError);
    CHECK_THROWS_WITH(law_of_formula(formula, {"N", "D"}, ranges), Contains(why));
  };
  refused("L = 1 + a", {}, "0 columns (N, D) and 1 parameters");
  refused("L = 1 / N", {}, "0 parameters");
  refused("= a / N", {}, "write L = ...");
  refused("L = a / ", {}, "position");
  refused("L = a/N + b + c + d + e + f + g + h + i + j", {}, "10 parameters");
  refused("L = a / N^b", {"c=1:2"}, "the parameters are a, b");
  refused("L = a / N^b", {"b=2:1"}, "write NAME=LOW:HIGH");
  refused("L = a / N^b", {"b=1"}, "write NAME=LOW:HIGH");
  refused("L = a / N^b", {"b=x:2"}, "write NAME=LOW:HIGH");
}
