// loglog data synth: a procedural source with known entropy to a token file.
#include <fmt/format.h>

#include <cstdint>
#include <memory>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "cli/arguments.hpp"
#include "cli/data.hpp"
#include "cli/stop_signals.hpp"
#include "data/synth.hpp"

namespace loglog::cli {
namespace {

struct SynthVerb {
  data::SynthOptions options;
  std::string out;
  std::string truth;
  bool json = false;
};

std::string list_of_worlds() {
  std::string text = "Worlds and their parameters (--set name=value):\n";
  for (const data::WorldKind& kind : data::world_kinds()) {
    text += fmt::format("  {}: {}\n", kind.name, kind.help);
    for (const data::WorldParameter& p : kind.parameters) {
      text += fmt::format("      {:<14} {} [default {}, {}..{}]\n", p.name, p.help, p.value, p.low, p.high);
    }
  }
  return text +
         "Examples:\n"
         "  loglog data synth --world contexts -o facts.tok --tokens 4000000 --set alpha=0.5\n"
         "  loglog data synth --world markov -o null.tok --tokens 1000000 --set order=1 --set vocab=32\n"
         "  loglog data synth --world facts -o facts.tok --set held_out=1 --truth facts.jsonl\n"
         "  loglog data synth --world addition -o sums.tok --set digits=5 --set low_digits=2 --truth "
         "sums.jsonl";
}

void print_floors(const nlohmann::json& entropy) {
  fmt::print("entropy rate {:.6f} nats/token (exact)\n", entropy.at("rate").get<double>());
  if (entropy.at("floors").empty()) return;
  fmt::print("{:>8} {:>18} {:>10} {:>22} {:>10} {:>8}\n", "context", "H(X_1..X_T)/T", "+-",
             "own validation loss", "+-", "windows");
  for (const auto& floor : entropy.at("floors")) {
    const double error = floor.at("block_error").get<double>();
    fmt::print("{:>8} {:>18.6f} {:>10} {:>22.6f} {:>10.6f} {:>8}\n", floor.at("context").get<std::uint64_t>(),
               floor.at("block").get<double>(), error == 0 ? "exact" : fmt::format("{:.6f}", error),
               floor.at("validation_loss").get<double>(), floor.at("validation_error").get<double>(),
               floor.at("windows").get<std::uint64_t>());
  }
}

int synthesize(SynthVerb verb) {
  if (!verb.truth.empty()) {
    if (verb.truth == verb.out) throw UsageError("--truth and --out are the same file");
    refuse_overwriting(verb.truth, {verb.out});
    verb.options.truth = verb.truth;
  }
  install_stop_signals();
  verb.options.stop_requested = stop_requested;
  const data::TokenFile file = data::synthesize(real_file_system(), verb.options, verb.out);
  if (verb.json) {
    fmt::print("{}\n", json_text(describe_as_json(file), 1));
  } else {
    fmt::print("{}", describe_as_text(file));
    print_floors(file.meta().at("entropy"));
  }
  return static_cast<int>(Exit::done);
}

}  // namespace

void add_data_synth(CLI::App& data, const Environment& environment, Action& run) {
  CLI::App* verb = data.add_subcommand("synth", "a procedural source with its exact entropy");
  const auto state = std::make_shared<SynthVerb>();
  data::SynthOptions& options = state->options;
  options.command = environment.command_line;
  options.tokens = 2'000'000;
  verb->add_option("--world", options.world, "one of those below")->required();
  verb->add_option("-o,--out", state->out, "token file to write")->required()->check(not_empty());
  verb->add_option("--tokens", options.tokens, "length of the text")
      ->check(whole_between(1, std::uint64_t{1} << 50))
      ->capture_default_str();
  verb->add_option(
      "--truth", state->truth,
      "JSON lines to write as well: what the text can be asked (markov, grammar and contexts have none)");
  verb->add_option("--seed", options.seed, "of the world's tables and of its text")
      ->check(whole_between(0, INT64_MAX))
      ->capture_default_str();
  verb->add_option("--set", options.settings, "name=value: a parameter of the world")
      ->allow_extra_args(false);
  verb->add_option("--contexts", options.contexts, "context lengths whose floors are worked out")
      ->delimiter(',')
      ->check(whole_between(1, 1 << 20))
      ->capture_default_str();
  verb->add_flag("--json", state->json, "report for programs");
  verb->footer(list_of_worlds());
  verb->callback([state, &run] { run = [state] { return synthesize(*state); }; });
}

}  // namespace loglog::cli
