// loglog store: fold results together, check a store.
#include <fmt/format.h>

#include <iterator>
#include <map>
#include <memory>
#include <vector>

#include "base/error.hpp"
#include "cli/arguments.hpp"
#include "cli/talk.hpp"
#include "cli/verbs.hpp"
#include "sweep/table.hpp"

namespace loglog::cli {
namespace {

using sweep::Store;

// Ended runs, and for the sweeps of a store the commands that made them.
struct Input {
  std::vector<sweep::FinishedRun> results;
  std::map<std::string, std::vector<std::string>> commands;
};

Input read_results(const Path& path) {
  if (!sweep::is_store(path)) {
    sweep::Lines<sweep::FinishedRun> lines = sweep::read_jsonl(read_input(path), path.native());
    if (!lines.torn.empty())
      talk(
          "loglog: warning: {}: the last line breaks off, its writer was killed; the {} before it are "
          "taken\n",
          lines.torn, lines.runs.size());
    return {std::move(lines.runs), {}};
  }
  const Store store(path, Store::Mode::read);
  const std::string text = sweep::export_jsonl(store, sweep::Timing::yes);
  Input input{sweep::read_jsonl(text, path.native()).runs, {}};
  for (const std::string& sweep : store.sweeps()) input.commands[sweep] = store.commands(sweep);
  return input;
}

// All inputs together.
Input read_all(const Path& target, const std::vector<Path>& inputs) {
  Input all;
  for (const Path& path : inputs) {
    if (!path_exists(path)) throw InputError(fmt::format("there is no file '{}'", path.native()));
    refuse_overwriting(target, {path});
    Input input = read_results(path);
    std::move(input.results.begin(), input.results.end(), std::back_inserter(all.results));
    for (auto& [sweep, lines] : input.commands)
      std::move(lines.begin(), lines.end(), std::back_inserter(all.commands[sweep]));
  }
  if (all.results.empty()) {
    throw InputError(fmt::format("{}{} no results", inputs.front().native(),
                                 inputs.size() == 1 ? " holds" : " and the files after it hold"));
  }
  return all;
}

void report(const Path& target, const sweep::MergeCount& count) {
  fmt::print("{}: {} results added, {} known already\n", target.native(), count.merged, count.known);
  const auto loss = [](const std::optional<double>& value) {
    return value ? fmt::format("loss {:.6g}", *value) : std::string("diverged");
  };
  for (const auto& [name, here, there] : count.conflicts)
    talk("loglog: warning: {}: {} here, {} there: what is here stays\n", name, loss(here), loss(there));
  for (const auto& [name, error] : count.failures) talk("{}: failed: {}\n", name, error);
}

// All inputs are read before the store is touched.
int merge(const Path& target, const std::vector<Path>& inputs, const std::string& command) {
  Input input = read_all(target, inputs);
  const bool is_new = !path_exists(target);
  sweep::MergeCount count;
  try {
    Store store(target, Store::Mode::create);
    count = store.import(input.results);
    for (const std::string& sweep : count.sweeps) {
      for (const std::string& line : input.commands[sweep]) store.add_command(sweep, line);
      store.add_command(sweep, command);
    }
  } catch (...) {
    if (is_new) real_file_system().remove(target);  // an empty store would look like a sweep without runs
    throw;
  }
  report(target, count);
  return 0;
}

}  // namespace

void add_store(CLI::App& app, const Environment& environment, Action& run) {
  CLI::App* verb = app.add_subcommand("store", "fold results together, check a store");
  verb->require_subcommand(1);
  const auto target = std::make_shared<Path>();
  const auto inputs = std::make_shared<std::vector<Path>>();
  CLI::App* merge_verb =
      verb->add_subcommand("merge", "add finished runs of JSON lines or other stores; twice is once");
  merge_verb->add_option("store", *target, "store to make or to add to")->required();
  merge_verb
      ->add_option("inputs", *inputs,
                   "F.jsonl of `sweep export --format jsonl`, spools of a job folder, or stores")
      ->required();
  merge_verb->footer(
      "Examples:\n"
      "  loglog store merge text.db docs/results/isoflop-text/runs.jsonl\n"
      "  loglog store merge demo.db demo.job/spool/*.jsonl");
  merge_verb->callback([=, &environment, &run] {
    run = [=, &environment] { return merge(*target, *inputs, command_text(environment)); };
  });

  CLI::App* verify = verb->add_subcommand("verify", "check a store: exit 0, or 4 with what is wrong");
  verify->add_option("store", *target, "store")->required();
  verify->callback([=, &run] {
    run = [=] {
      Store(*target, Store::Mode::read).verify();
      fmt::print("{}: ok\n", target->native());
      return 0;
    };
  });
  for (CLI::App* sub : verb->get_subcommands({})) sub->fallthrough();
}

}  // namespace loglog::cli
