#include "train/choose_table.hpp"

#include "base/error.hpp"
#include "kernels/table.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::train;

TEST_CASE("a row is forced, configured, begun with, or the best one, in this order") {
  const auto name = [](auto... names) { return std::string(choose_table(names...).name); };
  const std::string best = name("", "auto");
  REQUIRE(best == kernels::select_table("auto").name);
  REQUIRE(name("", "auto", "scalar") == "scalar");
  REQUIRE(name("auto", "auto", "scalar") == "scalar");  // "auto" forces nothing
  REQUIRE(name("", "scalar", best) == "scalar");
  REQUIRE(name("scalar", best) == "scalar");
  REQUIRE(name("scalar", "auto", best) == "scalar");
  REQUIRE_THROWS_AS(choose_table("", "auto", "pdp11"), UsageError);
  // What a checkpoint names is a row of float32; the run may have had another one's products of bfloat16.
  REQUIRE(name("", "auto", kernels::select_table("auto").float32) == best);
}
