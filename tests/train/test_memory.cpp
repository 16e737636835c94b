#include "train/memory.hpp"

#include <fstream>
#include <limits>

#include "base/error.hpp"
#include "kernels/isa.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

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

TEST_CASE("a pass whose bytes no 64-bit number holds is refused, at once") {
  model::RunConfig c;
  c.model.context = 1;
  c.train.steps = 1;
  c.train.batch = c.train.micro_batch = 1'000'000'000'000'000;
  model::resolve(c, 65);
  const kernels::KernelTable& table = kernels::select_table("auto");
  REQUIRE_THROWS_AS(plan_memory(c, table, 1), RefusedError);
  REQUIRE_THROWS_WITH(plan_memory(c, table, 1), Contains("train.micro_batch"));
  c.train.micro_batch = 1'000'000'000'000;  // the largest plans that can be added up are
  const RunMemory plan = plan_memory(c, table, 1);
  REQUIRE(static_cast<double>(plan.total()) > 1e12 * 4 * 10 * 128 * sizeof(float));
  REQUIRE(static_cast<double>(plan.total()) < 0x1p62);
  REQUIRE_THROWS_AS(require_memory(plan, available_memory()), RefusedError);
}

TEST_CASE("what the machine has is known") {
  REQUIRE(available_memory() > (std::size_t{16} << 20));
  REQUIRE(available_memory() < (std::size_t{1} << 50));
  const std::size_t before = resident_memory();
  const std::vector<char> touched(std::size_t{64} << 20, 1);
  REQUIRE(resident_memory() > before + (std::size_t{60} << 20));
  REQUIRE(touched.back() == 1);
}

TEST_CASE("the peak stays when the memory is given back", "[process_memory]") {
  {
    const std::vector<char> touched(std::size_t{96} << 20, 1);
    REQUIRE(touched.back() == 1);
  }
  REQUIRE(peak_memory() > resident_memory() + (std::size_t{80} << 20));
}

TEST_CASE("control groups leave what they do not use, and pages of files are not used") {
  const TemporaryFolder folder;
  const auto write = [&](const Path& name, const std::string& text) {
    const Path path = folder.path() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  };
  const auto headroom = [&] {
    return control_group_headroom(folder.path() / "cgroup", folder.path() / "fs");
  };
  write("cgroup", "0::/outer/inner\n");
  REQUIRE(headroom() == std::numeric_limits<std::size_t>::max());
  write("fs/outer/memory.max", "1000000");
  write("fs/outer/memory.current", "900000");
  write("fs/outer/inner/memory.max", "max");
  write("fs/outer/inner/memory.current", "800000");
  REQUIRE(headroom() == 100000);
  write("fs/outer/memory.stat", "anon 100000\ninactive_file 600000\nactive_file 200000\nslab 5\n");
  REQUIRE(headroom() == 900000);
  RunMemory plan;
  plan.program = 900001;
  REQUIRE_THROWS_AS(require_memory(plan, headroom()), RefusedError);
  // Version 1 counts the groups below in fields of their own.
  write("cgroup", "9:cpu:/other\n4:memory:/job\n");
  write("fs/memory/job/memory.limit_in_bytes", "500000");
  write("fs/memory/job/memory.usage_in_bytes", "450000");
  write("fs/memory/job/memory.stat", "inactive_file 1\ntotal_inactive_file 20000\ntotal_active_file 30000\n");
  REQUIRE(headroom() == 100000);
}
