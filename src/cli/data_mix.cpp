// loglog data mix: several token files as one.
#include <fmt/format.h>

#include <memory>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "cli/arguments.hpp"
#include "cli/data.hpp"
#include "cli/stop_signals.hpp"
#include "data/mix.hpp"

namespace loglog::cli {
namespace {

struct MixVerb {
  std::vector<std::string> files;
  std::string out;
  bool json = false;
  data::MixOptions options;
};

int mix(MixVerb verb) {
  for (const std::string& file : verb.files) {
    refuse_overwriting(verb.out, {file});
    verb.options.files.push_back(file);
  }
  install_stop_signals();
  verb.options.stop_requested = stop_requested;
  const data::TokenFile file = data::mix_token_files(real_file_system(), verb.options, verb.out);
  if (verb.json) {
    fmt::print("{}\n", json_text(describe_as_json(file), 1));
  } else {
    fmt::print("{}", describe_as_text(file));
  }
  return static_cast<int>(Exit::done);
}

}  // namespace

void add_data_mix(CLI::App& data, const Environment& environment, Action& run) {
  CLI::App* verb = data.add_subcommand("mix", "several token files as one, each source as it is");
  const auto state = std::make_shared<MixVerb>();
  state->options.command = environment.command_line;
  verb->add_option("FILE", state->files, "token files of one tokenizer")->required();
  verb->add_option("-o,--out", state->out, "token file to write")->required()->check(not_empty());
  verb->add_flag("--json", state->json, "report for programs");
  verb->footer(
      "Shares are a matter of the run (data.mixture), not of the file:\n"
      "  loglog data import web.txt --tokenizer bpe.json -o web.tok\n"
      "  loglog data import code.txt --tokenizer web.tok -o code.tok\n"
      "  loglog data mix web.tok code.tok -o both.tok\n"
      "  loglog train --config C.toml --set data.path=both.tok --set data.mixture=web=0.7,code=0.3 --out "
      "run");
  verb->callback([state, &run] { run = [state] { return mix(*state); }; });
}

}  // namespace loglog::cli
