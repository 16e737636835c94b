#include "base/expression.hpp"

#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "support/catch.hpp"

using Catch::Contains;
using loglog::Expression;

namespace {
double value(const char* text) {
  return Expression(text, "test").evaluate({});
}
}  // namespace

TEST_CASE("precedence and associativity are those of arithmetic") {
  REQUIRE(value("1 + 2 * 3") == 7);
  REQUIRE(value("(1 + 2) * 3") == 9);
  REQUIRE(value("10 - 4 - 3") == 3);
  REQUIRE(value("64 / 4 / 2") == 8);
  REQUIRE(value("2 ^ 3 ^ 2") == 512);
  REQUIRE(value("-2 ^ 2") == -4);
  REQUIRE(value("2 ^ -1") == 0.5);
  REQUIRE(value("2e3*-3") == -6000);
  REQUIRE(value("1 < 2 and 3 >= 3 or 0") == 1);
  REQUIRE(value("0 and 1 or 0") == 0);
  REQUIRE(value("1 + 1 > 2") == 0);
  REQUIRE(value("min(3, max(1, 2)) + sqrt(16) + round(2.4) + log2(8)") == 11);
  REQUIRE(std::isinf(value("1/0")));
}

TEST_CASE("variables are listed once, in order of first use") {
  const Expression rule("0.02 * (N / 12288)^-0.4 * min(D, N) / or_else", "lr");
  REQUIRE(rule.variables() == std::vector<std::string>{"N", "D", "or_else"});
  const double values[] = {4 * 12288.0, 1e9, 2.0};
  REQUIRE(rule.evaluate(values) == Approx(0.02 * std::pow(4.0, -0.4) * 4 * 12288 / 2));
  REQUIRE(Expression("min", "t").variables() == std::vector<std::string>{"min"});
}

TEST_CASE("mistakes name the text, the place and what was expected") {
  REQUIRE_THROWS_WITH(Expression("1 +", "lr"), Contains("lr: '1 +'") && Contains("position 4"));
  REQUIRE_THROWS_WITH(Expression("(1", "lr"), Contains("')'"));
  REQUIRE_THROWS_WITH(Expression("", "lr"), Contains("a number"));
  REQUIRE_THROWS_WITH(Expression("1 2", "lr"), Contains("operator") && Contains("position 3"));
  REQUIRE_THROWS_WITH(Expression("sin(2)", "lr"), Contains("sqrt exp log"));
  REQUIRE_THROWS_AS(Expression("min(1)", "lr"), loglog::UsageError);
  REQUIRE_THROWS_AS(Expression("nan", "lr").evaluate({}), std::logic_error);  // a variable without a value
  REQUIRE_THROWS_AS(Expression(std::string(100000, '('), "lr"), loglog::UsageError);
  REQUIRE_THROWS_AS(Expression(std::string(100000, '-') + "1", "lr"), loglog::UsageError);
}
