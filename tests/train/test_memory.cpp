#include "train/memory.hpp"

#include "base/error.hpp"
#include "kernels/isa.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::train;
using Catch::Contains;

TEST_CASE("the plan grows with what it counts") {
  const kernels::KernelTable& table = kernels::select_table("auto");
  model::RunConfig c;
  model::resolve(c, 65);
  const RunMemory plan = plan_memory(c, table, 2);
  REQUIRE(plan.model.parameters >= sizeof(float) * 4 * 12 * 128 * 128);
  REQUIRE(plan.model.optimizer == 2 * plan.model.parameters);
  c.train.micro_batch = 6;
  const RunMemory half = plan_memory(c, table, 2);
  REQUIRE(half.model.activations < 0.6 * static_cast<double>(plan.model.activations));
  REQUIRE(half.total() < plan.total());
  REQUIRE_THAT(describe(plan), Contains("activations") && Contains("together"));
}

TEST_CASE("a plan that does not fit is refused with both numbers") {
  RunMemory plan;
  plan.model.parameters = std::size_t{300} << 20;
  REQUIRE_NOTHROW(require_memory(plan, plan.total()));
  try {
    require_memory(plan, std::size_t{200} << 20);
    FAIL("was not refused");
  } catch (const RefusedError& error) {
    REQUIRE(error.exit_code == Exit::refused);
    REQUIRE_THAT(error.what(),
                 Contains("300.0 MiB") && Contains("200.0 MiB") && Contains("train.micro_batch"));
  }
}

TEST_CASE("what the machine has is known") {
  REQUIRE(available_memory() > (std::size_t{16} << 20));
  REQUIRE(available_memory() < (std::size_t{1} << 50));
  REQUIRE(usable_cores() >= 1);
  const std::size_t before = resident_memory();
  const std::vector<char> touched(std::size_t{64} << 20, 1);
  REQUIRE(resident_memory() > before + (std::size_t{60} << 20));
  REQUIRE(touched.back() == 1);
}
