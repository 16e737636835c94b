#include "train/fastest_threads.hpp"

#include "kernels/isa.hpp"
#include "small_runs.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;

TEST_CASE("as many threads as there may be, or fewer") {
  TemporaryFolder folder;
  write_small_tokens(folder.path() / "t.tok");
  model::RunConfig config = small_run(folder.path() / "t.tok");
  const kernels::KernelTable& table = kernels::select_table("auto");
  REQUIRE(train::fastest_threads(config, table, 6) == 6);  // 12 steps: not worth the question
  config.train.steps = 100000;
  REQUIRE(train::fastest_threads(config, table, 1) == 1);
  const int threads = train::fastest_threads(config, table, 3);
  REQUIRE((threads == 3 || threads == 1));  // halves: 3, 1
}
