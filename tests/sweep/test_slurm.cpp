#include "sweep/slurm.hpp"

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::sweep;
using Catch::Contains;

namespace {

SlurmJob job() {
  SlurmJob job;
  job.name = "demo";
  job.tasks = 12;
  job.processors = 2;
  job.memory_bytes = 300.5 * (1 << 20);
  job.folder = "/shared/a b/demo.job";
  job.task = {"/opt/loglog", "sweep", "task", "/shared/a b/demo.job"};
  return job;
}

}  // namespace

TEST_CASE("the batch script asks for what the sweep needs, and for nothing that was not said") {
  const std::string script = batch_script(job());
  REQUIRE_THAT(script, Catch::StartsWith("#!/bin/bash\n"));
  for (const char* line :
       {"#SBATCH --array=0-11\n", "#SBATCH --cpus-per-task=2\n", "#SBATCH --mem=301M\n",
        "#SBATCH --requeue\n", "#SBATCH --signal=B:USR1@120\n",
        "#SBATCH --output=\"/shared/a b/demo.job/logs/%A_%a.log\"\n",
        "exec /opt/loglog sweep task '/shared/a b/demo.job' --task \"$SLURM_ARRAY_TASK_ID\" "})
    REQUIRE_THAT(script, Contains(line));
  REQUIRE_THAT(script, !Contains("--time") && !Contains("--partition"));
  SlurmJob limited = job();
  limited.time = "04:00:00";
  limited.partition = "low";
  REQUIRE_THAT(batch_script(limited),
               Contains("#SBATCH --time=04:00:00\n") && Contains("#SBATCH --partition=low\n"));
}

TEST_CASE("what no line of the script can hold is refused by its name") {
  SlurmJob wrong = job();
  wrong.time = "1\n#SBATCH --mem=0";
  REQUIRE_THROWS_WITH(batch_script(wrong), Contains("--time"));
  wrong = job();
  wrong.partition = "low high";
  REQUIRE_THROWS_WITH(batch_script(wrong), Contains("--partition") && Contains("low high"));
  wrong = job();
  wrong.folder = "/shared/100%/x";
  REQUIRE_THROWS_AS(batch_script(wrong), UsageError);
}
