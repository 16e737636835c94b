// loglog sweep: many runs. The cost before, the progress during, the table after.
#include "cli/sweep.hpp"

#include <fmt/format.h>

#include "cli/verbs.hpp"

namespace loglog::cli {

void add_sweep(CLI::App& app, const Environment& environment, Action& run) {
  CLI::App* sweep =
      app.add_subcommand("sweep", "train many models: cost before, progress during, table after");
  sweep->require_subcommand(1);
  sweep->footer(
      "Example:\n"
      "  loglog sweep plan configs/sweeps/demo.toml\n"
      "  loglog sweep run configs/sweeps/demo.toml --store demo.db --max-time 6h\n"
      "  loglog sweep resume demo.db\n"
      "  loglog sweep submit configs/sweeps/demo.toml --slurm --array 20 --time 04:00:00\n"
      "  loglog sweep export demo.db --format csv -o runs.csv");
  add_sweep_plan(*sweep, environment, run);
  add_sweep_run(*sweep, environment, run);
  add_sweep_worker(*sweep, environment, run);
  add_sweep_job(*sweep, environment, run);
  add_sweep_design(*sweep, environment, run);
  add_sweep_table(*sweep, environment, run);
  for (CLI::App* verb : sweep->get_subcommands({})) verb->fallthrough();
}

}  // namespace loglog::cli
