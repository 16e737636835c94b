#include "base/error.hpp"

#include "base/check.hpp"
#include "support/catch.hpp"

using namespace loglog;

TEST_CASE("an unknown name is reported with the nearest known one") {
  const std::string_view known[] = {"model.layers", "model.width", "train.lr"};
  REQUIRE(nearest_name("model.layer", known) == "model.layers");
  REQUIRE(nearest_name("zzzzzzzzzzzz", known).empty());
  REQUIRE_THROWS_WITH(throw_unknown_name("key", "model.widht", known),
                      Catch::Contains("did you mean 'model.width'?"));
}

TEST_CASE("a broken contract carries its values") {
  const auto broken = [] { LOGLOG_CHECK(1 == 2, "a is {}, b is {}", 1, 2); };
  REQUIRE_THROWS_WITH(broken(), Catch::Contains("a is 1, b is 2"));
}
