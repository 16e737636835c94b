// loglog data: text and procedural sources to token files.
#include "cli/data.hpp"

#include "cli/verbs.hpp"

namespace loglog::cli {

void add_data(CLI::App& app, const Environment& environment, Action& run) {
  CLI::App* data = app.add_subcommand("data", "make token files and look into them");
  data->require_subcommand(1);
  add_data_import(*data, environment, run);
  add_data_synth(*data, environment, run);
  add_data_train_bpe(*data, environment, run);
  add_data_mix(*data, environment, run);
  add_data_info(*data, environment, run);
  for (CLI::App* verb : data->get_subcommands({})) verb->fallthrough();
}

}  // namespace loglog::cli
