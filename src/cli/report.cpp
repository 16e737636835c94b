// loglog report: one page about a sweep.
#include <fmt/format.h>

#include <memory>

#include "base/error.hpp"
#include "cli/arguments.hpp"
#include "cli/talk.hpp"
#include "cli/verbs.hpp"
#include "data/token_file.hpp"
#include "report/from_store.hpp"

namespace loglog::cli {
namespace {

struct ReportVerb {
  std::string store;
  std::string out;
  std::string png;
  std::string pdf;
  report::ReportOptions options;
};

// The data may be gone by the time somebody wants the page; the page then says so and does without.
void add_floor(const report::DataUse& use, report::SweepReport& page) {
  try {
    const data::TokenFile file = data::TokenFile::open(use.path);
    if (file.checksum_text() != use.checksum) {
      page.warnings.push_back(
          fmt::format("{} has changed since the runs: its entropy is not shown", use.path));
      return;
    }
    page.floor = report::known_floor(file.meta(), use.context);
    std::string command;
    for (const nlohmann::json& word : file.meta().value("command", nlohmann::json::array()))
      if (word.is_string()) command += (command.empty() ? "" : " ") + word.get<std::string>();
    if (!command.empty()) page.commands.push_back(command);
  } catch (const Error& error) {
    page.warnings.push_back(
        fmt::format("The data could not be read, so nothing is said of its entropy: {}", error.what()));
  }
}

void write_pictures(const std::vector<report::Figure>& figures, const Path& folder, report::Format format,
                    std::string_view ending) {
  real_file_system().create_directories(folder);
  for (const report::Figure& figure : figures) {
    const Path path = folder / (figure.name + std::string(ending));
    write_atomically(real_file_system(), path, report::render(figure, format));
    fmt::print("{}\n", path.string());
  }
}

int write_report(const ReportVerb& verb, const std::vector<std::string>& command_line) {
  refuse_overwriting(verb.out, {verb.store});
  const sweep::Store store(verb.store, sweep::Store::Mode::read);
  report::SweepReport page = report::report_of(store, verb.options);
  add_floor(report::data_of(store, verb.options), page);
  for (const std::string& command : store.commands(store.runs_of(verb.options.sweep).front().spec.sweep))
    page.commands.push_back(command);
  page.commands.push_back(fmt::format("{}", fmt::join(command_line, " ")));
  page.circumstances.push_back({"page made by", "loglog " LOGLOG_VERSION});

  const bool pictures = report::gnuplot_available();
  if (!pictures) {
    constexpr std::string_view kMissing =
        "gnuplot was not found: the page has its tables but no pictures (Debian: apt-get install "
        "gnuplot-nox, macOS: brew install gnuplot)";
    talk("loglog: {}\n", kMissing);
    page.warnings.emplace_back(kMissing);
  }
  const report::Draw draw = [&](const report::Figure& figure) {
    return pictures ? report::render(figure, report::Format::svg) : std::string();
  };
  write_atomically(real_file_system(), verb.out, report::sweep_page(page, draw));
  for (const std::string& sentence : report::headline(page)) fmt::print("{}\n", sentence);
  fmt::print("{}\n", verb.out);
  if (!pictures) return static_cast<int>(Exit::done);
  const std::vector<report::Figure> figures = report::figures(page);
  if (!verb.png.empty()) write_pictures(figures, verb.png, report::Format::png, ".png");
  if (!verb.pdf.empty()) write_pictures(figures, verb.pdf, report::Format::pdf, ".pdf");
  return static_cast<int>(Exit::done);
}

}  // namespace

void add_report(CLI::App& app, const Environment& environment, Action& run) {
  CLI::App* verb = app.add_subcommand("report", "one self-contained page about a sweep, with its laws");
  const auto options = std::make_shared<ReportVerb>();
  options->out = "report.html";
  verb->add_option("STORE", options->store, "store of a sweep")->required();
  verb->add_option("-o,--out", options->out, "the page")->capture_default_str();
  verb->add_option("--png", options->png, "also write every figure as PNG into this folder");
  verb->add_option("--pdf", options->pdf, "also write every figure as PDF into this folder");
  verb->add_option("--sweep", options->options.sweep, "which, when the store holds several");
  verb->add_option("--law", options->options.laws,
                   "law to fit, may be repeated [default: chinchilla, and isoflop when there are budgets]");
  verb->add_option("--title", options->options.title, "title of the page [default: name of the store]");
  verb->add_option("--bootstrap", options->options.bootstrap, "resamples behind the intervals")
      ->check(whole_between(0, 1'000'000))
      ->capture_default_str();
  verb->add_option("--seed", options->options.seed, "of the resampling")
      ->check(whole_between(0, UINT64_MAX))
      ->capture_default_str();
  verb->footer(
      "Example:\n"
      "  loglog report demo.db -o demo.html --png figures --law chinchilla --law isoflop");
  verb->callback([options, &environment, &run] {
    run = [options, &environment] { return write_report(*options, environment.command_line); };
  });
}

}  // namespace loglog::cli
