// loglog study: a paper's claims, run here.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/processors.hpp"
#include "cli/arguments.hpp"
#include "cli/child_verb.hpp"
#include "cli/loaded_model.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "cli/verbs.hpp"
#include "data/token_file.hpp"
#include "fit/table.hpp"
#include "kernels/isa.hpp"
#include "studies/page.hpp"
#include "studies/result_json.hpp"
#include "studies/studies.hpp"

namespace loglog::cli {
namespace {

struct Arguments {
  std::string study;
  std::string data, out, manifest, folder, replay;
  bool quick = false, full = false;
  int threads = 0;
  std::uint64_t seed = 1;
  bool json = false;
};

constexpr const char* kFooter =
    "Examples:\n"
    "  loglog study list\n"
    "  loglog study show int8\n"
    "  loglog study run int8 --quick --data text.tok -o studies/int8     trains, measures, writes int8.md "
    "and its pictures\n"
    "  loglog study page studies/int8 int8                               the page once more, from int8.json "
    "alone\n"
    "Verdicts need controls that behave: an effect that was built in must be found, and none where none can "
    "be.\n"
    "The exit code says whether the study ran, not what it found.";

int list(const Arguments& a) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const studies::Study& s : studies::studies()) {
    if (a.json)
      all.push_back({{"name", s.name}, {"title", s.title}, {"quick", s.quick}, {"full", s.full}});
    else
      fmt::print("{:<12} {}\n             --quick {}\n             --full  {}\n", s.name, s.title, s.quick,
                 s.full);
  }
  if (a.json) fmt::print("{}\n", json_text(all));
  return static_cast<int>(Exit::done);
}

int show(const Arguments& a) {
  const studies::Study& study = studies::find_study(a.study);
  const studies::Manifest manifest = studies::manifest_of(study, a.manifest);
  fmt::print("{}\n", study.title);
  for (const std::string_view effort : studies::kEfforts)
    fmt::print("manifest of --{} {}{}\n", effort, manifest.hash(effort),
               manifest.exploratory() ? " (EXPLORATORY)" : "");
  for (const studies::Claim& c : study.claims(manifest))
    fmt::print("\n{} {}\n   asked for: {}\n   paper: {}\n", c.id, c.text, c.rule, c.paper);
  fmt::print("\n");
  for (const auto& [key, value] : manifest.values()) fmt::print("{} = {}\n", key, value);
  return static_cast<int>(Exit::done);
}

// `loglog sweep run` as a child, so that its workers, signals and store are what they always are.
bool train(const Arguments& a, const Environment& environment, const studies::Training& t) {
  std::vector<std::string> words = {"sweep",
                                    "run",
                                    t.sweep_file.native(),
                                    "--store",
                                    t.store.native(),
                                    "--data",
                                    t.data.empty() ? a.data : t.data.native()};
  if (!t.arm.empty()) words.insert(words.end(), {"--arm", t.arm});
  if (t.keep) words.push_back("--keep");
  if (a.threads > 0) {
    const int there = static_cast<int>(usable_processors().size());
    words.insert(words.end(), {"--processors", std::to_string(std::min(a.threads, there))});
  }
  return run_child_verb(environment, std::move(words));
}

void print_verdicts(const studies::Result& result) {
  for (const studies::Finding& f : result.findings)
    fmt::print("{:<18} {} {}\n{:<18} {}\n", studies::name_of(f.verdict), f.claim.id, f.claim.text, "", f.why);
  fmt::print("{:<18} all claims together\n", studies::name_of(studies::overall(result.findings)));
}

// Everything that a call lacks, in one message.
void require_complete(const Arguments& a) {
  std::vector<std::string> wrong;
  if (a.quick && a.full) wrong.push_back("--quick and --full exclude each other");
  if (!a.quick && !a.full)
    wrong.push_back("--quick or --full is needed (`loglog study list` has what each costs)");
  if (a.data.empty()) wrong.push_back("--data F.tok is needed, the text");
  if (a.out.empty()) wrong.push_back("-o FOLDER is needed, where models and page go");
  if (!wrong.empty()) throw UsageError(fmt::format("{}", fmt::join(wrong, "; ")));
  if (path_exists(a.out) && !std::filesystem::is_directory(a.out))
    throw UsageError(fmt::format("-o '{}' is no folder", a.out));
}

int run_verb(const Arguments& a, const Environment& environment) {
  const studies::Study& study = studies::find_study(a.study);
  require_complete(a);
  const studies::Manifest manifest = studies::manifest_of(study, a.manifest);
  data::TokenFile::open(a.data);  // a bad one is refused before anything is made
  if (!a.replay.empty()) fit::Table::read_csv(a.replay);
  studies::Workplace w;
  w.effort = a.full ? studies::Effort::full : studies::Effort::quick;
  w.data = a.data, w.folder = a.out, w.replay = a.replay, w.seed = a.seed,
  w.command = environment.command_line;
  w.table = &kernels::select_table(environment.isa.empty() ? "auto" : environment.isa);
  w.threads = usable_threads_of(a.threads);
  install_stop_signals();
  w.train = [&](const studies::Training& training) { return train(a, environment, training); };
  w.say = [](const std::string& text) { talk("loglog: {}\n", text); };
  w.stop = stop_requested;
  const std::optional<studies::Result> result = studies::run_study(study, manifest, w);
  if (!result) {
    talk("loglog: stopped; the same command goes on from what is trained\n");
    return static_cast<int>(Exit::checkpointed);
  }
  if (a.json)
    fmt::print("{}", studies::to_json(*result));
  else
    print_verdicts(*result);
  return static_cast<int>(Exit::done);
}

int make_page(const Arguments& a) {
  const Path file = Path(a.folder) / (a.study + ".json");
  const studies::Result result = studies::from_json(read_input(file), file.native());
  if (result.study != a.study)
    throw InputError(
        fmt::format("'{}' is a result of the study {}, not of {}", file.native(), result.study, a.study));
  studies::write_page(real_file_system(), a.folder, result);
  return static_cast<int>(Exit::done);
}

}  // namespace

void add_study(CLI::App& app, const Environment& environment, Action& run) {
  const auto a = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("study", "a paper's claims, run here");
  verb->require_subcommand(1);
  verb->footer(kFooter);
  const auto add = [&](const char* name, const char* help,
                       int (*does)(const Arguments&, const Environment&)) {
    CLI::App* sub = verb->add_subcommand(name, help);
    sub->callback(
        [a, &environment, &run, does] { run = [a, &environment, does] { return does(*a, environment); }; });
    sub->footer(kFooter);
    sub->fallthrough();
    return sub;
  };
  CLI::App* lists = add("list", "the studies and what they cost",
                        [](const Arguments& x, const Environment&) { return list(x); });
  lists->add_flag("--json", a->json, "for programs");
  CLI::App* shows = add("show", "claims, thresholds and their hash",
                        [](const Arguments& x, const Environment&) { return show(x); });
  shows->add_option("NAME", a->study, "study")->required();
  shows->add_option("--manifest", a->manifest, "thresholds of your own; the report is EXPLORATORY then")
      ->check(not_empty());
  CLI::App* runs = add("run", "train, measure, judge",
                       [](const Arguments& x, const Environment& e) { return run_verb(x, e); });
  runs->add_option("NAME", a->study, "study")->required();
  runs->add_option("--data", a->data, "token file")->check(not_empty());
  runs->add_option("-o,--out", a->out,
                   "folder for models, page and pictures; run again, it takes up what is there")
      ->check(not_empty());
  runs->add_flag("--quick", a->quick, "minutes");
  runs->add_flag("--full", a->full, "hours");
  runs->add_option("--manifest", a->manifest, "thresholds of your own; the report is EXPLORATORY then")
      ->check(not_empty());
  runs->add_option("--replay", a->replay,
                   "CSV of the source's own runs, for studies that fit them first (chinchilla)")
      ->check(not_empty());
  runs->add_option("--threads", a->threads,
                   "threads to train and to measure with; default: one per usable core")
      ->check(CLI::Range(1, 4096));
  runs->add_option("--seed", a->seed, "of resampling")
      ->check(whole_between(0, UINT64_MAX))
      ->capture_default_str();
  runs->add_flag("--json", a->json, "the whole result on standard output");
  CLI::App* pages = add("page", "the page again, from its JSON alone",
                        [](const Arguments& x, const Environment&) { return make_page(x); });
  pages->add_option("FOLDER", a->folder, "that holds NAME.json")->required();
  pages->add_option("NAME", a->study, "study")->required();
}

}  // namespace loglog::cli
