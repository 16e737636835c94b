// loglog night: from a text to a law and to losses foretold, in the hours that there are.
#include "night/night.hpp"

#include <fmt/format.h>

#include <memory>

#include "base/error.hpp"
#include "base/processors.hpp"
#include "cli/arguments.hpp"
#include "cli/child_verb.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "cli/verbs.hpp"
#include "train/choose_table.hpp"

namespace loglog::cli {
namespace {

struct Arguments {
  std::vector<std::string> texts;
  std::string folder;
  night::Settings settings;
  bool asks_hours = false;
  bool plan = false;
};

bool goes_on(const Arguments& a) {
  return a.texts.size() == 1 && std::filesystem::is_directory(a.texts.front());
}

// The folder of the night; what it is asked for is written there when it begins.
Path folder_of(Arguments& a) {
  if (goes_on(a)) {
    if (!a.folder.empty() || a.asks_hours)
      throw UsageError(fmt::format(
          "'{}' is a folder: its night goes on as it was begun, without -o and --hours", a.texts.front()));
    if (!night::is_night(a.texts.front()))
      throw UsageError(fmt::format("'{}' holds no night; begin one with a text: loglog night TEXT --hours 8",
                                   a.texts.front()));
    return a.texts.front();
  }
  if (!a.asks_hours) throw UsageError("--hours H is needed: how long the night is");
  for (const std::string& text : a.texts) {
    if (!input_exists(text)) throw InputError(fmt::format("there is no text '{}'", text));
    a.settings.texts.push_back(std::filesystem::absolute(text).lexically_normal().native());
  }
  Path folder = a.folder.empty() ? Path(Path(a.texts.front()).stem().native() + "-night") : Path(a.folder);
  real_file_system().create_directories(folder);
  night::begin_night(a.settings, folder);
  return folder;
}

int run_night(Arguments a, const Environment& environment) {
  const Path folder = folder_of(a);
  install_stop_signals();
  night::Tools tools{folder, train::choose_table(environment.isa, "auto", ""),
                     static_cast<int>(usable_processors().size())};
  tools.loglog = [&](const std::vector<std::string>& words) { return run_child_verb(environment, words); };
  tools.say = [](const std::string& text) { talk("night: {}\n", text); };
  tools.stop = stop_requested;
  const night::NightEnd end = night::go_on(tools, a.plan ? night::Until::plan : night::Until::end);
  if (end == night::NightEnd::stopped) {
    talk("night: stopped; `loglog night {}` goes on\n", folder.native());
    return static_cast<int>(Exit::checkpointed);
  }
  fmt::print("{}", a.plan ? night::plan_text(folder) : night::summary_text(folder));
  if (a.plan)
    talk("night: `loglog night {}` goes on\n", folder.native());
  else
    fmt::print("{}\n", (folder / "report.html").native());
  return static_cast<int>(Exit::done);
}

}  // namespace

void add_night(CLI::App& app, const Environment& environment, Action& run) {
  const auto a = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "night",
      "a text, some hours: tunes, trains a sweep, fits, foretells dearer runs, trains and scores them");
  verb->add_option("TEXT", a->texts, "text files; or the folder of a night that was begun: it goes on")
      ->required();
  CLI::Option* hours = verb->add_option("--hours", a->settings.hours, "how long the night is")
                           ->check(number_between(1e-3, 1000));
  verb->add_option("-o,--out", a->folder, "folder of the night [TEXT-night]")->check(not_empty());
  verb->add_option("--tokenizer", a->settings.tokenizer, "as of data import")->capture_default_str();
  verb->add_flag("--plan", a->plan, "read the text, time the sizes, say what the night would train; no more");
  verb->footer(
      "Examples:\n"
      "  loglog night corpus.txt --hours 8 --plan     what it would do\n"
      "  loglog night corpus.txt --hours 8            does it; Ctrl-C stops it, corpus-night/ keeps "
      "everything\n"
      "  loglog night corpus-night                    goes on");
  verb->callback([a, hours, &environment, &run] {
    a->asks_hours = hours->count() > 0;
    run = [a, &environment] { return run_night(*a, environment); };
  });
}

}  // namespace loglog::cli
