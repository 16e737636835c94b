// loglog ladder: what each idea of a fast kernel is worth on this machine.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json_text.hpp"
#include "base/processors.hpp"
#include "cli/arguments.hpp"
#include "cli/ladder_guest.hpp"
#include "cli/ladder_measure.hpp"
#include "cli/ladder_plot.hpp"
#include "cli/picture_file.hpp"
#include "cli/progress_line.hpp"
#include "cli/verbs.hpp"
#include "kernels/isa.hpp"
#include "kernels/table.hpp"
#include "kernels/threads.hpp"
#include "train/memory.hpp"

namespace loglog::cli {
namespace {

using Json = nlohmann::ordered_json;
using kernels::Index;
using kernels::KernelTable;
using kernels::ladder::LadderKind;

struct LadderVerb {
  std::vector<std::string> sizes;
  int threads = static_cast<int>(usable_processors().size());
  int repetitions = 5;
  bool json = false, header = false;
  std::string plot, with, host;
  GuestOptions guest;
};

constexpr double kSecondsInAll = 15;  // that the samples of a run should take, all rungs and sizes together

// "M,N,K" -> its numbers.
std::vector<Index> parse_size(const std::string& text, const LadderKind& kind) {
  std::vector<Index> size;
  std::size_t at = 0;
  while (at <= text.size() && size.size() < kind.largest.size()) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string number = text.substr(at, end - at);
    const bool digits =
        !number.empty() && number.size() < 10 && number.find_first_not_of("0123456789") == number.npos;
    if (digits) size.push_back(std::stoll(number));
    if (!digits || size.back() < 1 || size.back() > kind.largest[size.size() - 1]) break;
    at = end + 1;
  }
  if (at != text.size() + 1 || size.size() != kind.largest.size()) {
    throw UsageError(fmt::format("--size '{}': ladder {} takes {}, whole numbers from 1 to {}", text,
                                 kind.name, kind.letters, fmt::join(kind.largest, ",")));
  }
  return size;
}

std::vector<std::vector<Index>> sizes_of(const LadderVerb& verb, const LadderKind& kind) {
  if (verb.sizes.empty()) return kind.sizes;
  std::vector<std::vector<Index>> sizes;
  for (const std::string& text : verb.sizes) sizes.push_back(parse_size(text, kind));
  return sizes;
}

std::string percent(double share) {
  return fmt::format("{:.{}f}%", 100 * share, share < 0.0995 ? 1 : 0);
}

std::string times(double gain) {
  return gain == 0 ? "" : fmt::format("{:.{}f}x", gain, gain < 9.95 ? 2 : 1);
}

// What a reader of the table has to know about this line.
std::string note_of(const MeasuredRung& rung, const LadderResult& result) {
  const Index parts = result.parts;
  std::string note = rung.remark.empty() ? "" : rung.remark + "; ";
  if (rung.info.number <= 0) {
    const MeasuredRung* best = nullptr;
    for (const MeasuredRung& other : result.rungs) {
      const bool comparable = other.info.number > 0 && other.missing.empty() &&
                              other.threads == rung.threads && other.info.operand_error == 0;
      if (comparable && (best == nullptr || other.flops > best->flops)) best = &other;
    }
    if (best != nullptr)
      note +=
          fmt::format("{} of rung {} {}; ", percent(rung.flops / best->flops), best->info.number, best->name);
  }
  if (rung.parts < parts) note += fmt::format("timed on {} of {} parts; ", rung.parts, parts);
  if (rung.gain && *rung.gain < 1 && rung.spread < 1 - *rung.gain) {
    note +=
        fmt::format("slower: {}; ", *rung.info.loss != '\0' ? rung.info.loss : "not expected, time it again");
  }
  return note.substr(0, note.size() - std::min<std::size_t>(note.size(), 2));
}

void print_table(const LadderKind& kind, const LadderResult& result) {
  fmt::print("\n{} {} = {}\n", kind.name, kind.letters, fmt::join(result.size, ","));
  for (const Ceilings& c : result.ceilings) {
    fmt::print("ceilings of {} thread{}: {:.1f} GFLOP/s of float32 multiply-adds, {:.1f} GB/s from memory\n",
               c.threads, c.threads == 1 ? "" : "s", c.fma_flops * 1e-9, c.read_bytes * 1e-9);
  }
  fmt::print("{:>2} {:<19} {:>7} {:>9} {:>7} {:>8} {:>8} {:>9}  {}\n", "", "rung", "threads", "GFLOP/s", "+-",
             "of peak", "gain", "expected", "note");
  for (const MeasuredRung& rung : result.rungs) {
    const std::string number = rung.info.number <= 0 ? "" : std::to_string(rung.info.number);
    if (!rung.missing.empty()) {
      fmt::print("{:>2} {:<19} {:>7} {:>9} {:>7} {:>8} {:>8} {:>9}  {}\n", number, rung.name, "", "-", "", "",
                 "", times(rung.expected), rung.missing);
      continue;
    }
    const std::string line = fmt::format(
        "{:>2} {:<19} {:>7} {:>9.{}f} {:>7} {:>8} {:>8} {:>9}  {}", number, rung.name, rung.threads,
        rung.flops * 1e-9, rung.flops < 9.95e9 ? 2 : 1, percent(rung.spread), percent(rung.share),
        times(rung.gain.value_or(0)), times(rung.expected), note_of(rung, result));
    fmt::print("{}\n", line.substr(0, line.find_last_not_of(' ') + 1));
  }
}

void print_ideas(const LadderResult& result) {
  fmt::print("\n");
  for (const MeasuredRung& rung : result.rungs) {
    if (rung.info.number <= 0) continue;
    const std::string reason =
        rung.expected == 0 ? "" : fmt::format(" ({}: {})", times(rung.expected), rung.info.why);
    fmt::print("{:>2} {:<19} {}{}\n", rung.info.number, rung.name, rung.info.idea, reason);
  }
}

Json json_of(const LadderResult& result) {
  Json rungs = Json::array();
  for (const MeasuredRung& rung : result.rungs) {
    Json line = {{"number", rung.info.number}, {"name", rung.name}, {"idea", rung.info.idea}};
    if (rung.info.number == kernels::ladder::kPeer) line["peer"] = true;
    if (rung.expected != 0) line["expected_gain"] = rung.expected;
    line["why"] = rung.info.why;
    if (!rung.missing.empty()) {
      line["missing"] = rung.missing;
    } else {
      line["threads"] = rung.threads;
      line["flops"] = rung.flops;
      line["spread"] = rung.spread;
      line["share_of_peak"] = rung.share;
      line["flops_per_byte"] = rung.intensity;
      line["parts"] = rung.parts;
      if (rung.gain) line["gain"] = *rung.gain;
      if (!rung.remark.empty()) line["remark"] = rung.remark;
    }
    rungs.push_back(std::move(line));
  }
  Json ceilings = Json::array();
  for (const Ceilings& c : result.ceilings)
    ceilings.push_back(
        {{"threads", c.threads}, {"fma_flops", c.fma_flops}, {"read_bytes_per_s", c.read_bytes}});
  return {{"size", result.size}, {"parts", result.parts}, {"ceilings", ceilings}, {"rungs", rungs}};
}

int run_host(const LadderVerb& verb, const LadderKind& kind, const KernelTable& table) {
  if (verb.sizes.size() != 1) throw UsageError("--host needs one --size");
  const auto ladder = kind.make(table, verb.threads, parse_size(verb.sizes.at(0), kind));
  return host_guest(*ladder, std::string(kind.name), verb.host);
}

// Operands, once more in the process of a rung of the user's own, and half as much for what libraries and rungs make of them.
void require_memory(const LadderKind& kind, const std::vector<Index>& size, bool guest) {
  const double needed = kind.bytes(size) * (guest ? 2.5 : 1.5),
               free = static_cast<double>(train::available_memory());
  if (needed > free)
    throw RefusedError(fmt::format("--size {}: ladder {} takes {:.1f} GB of memory, {:.1f} GB are free",
                                   fmt::join(size, ","), kind.name, 1e-9 * needed, 1e-9 * free));
}

// A file name as it can stand in a table: no control characters.
std::string printable(std::string name) {
  std::ranges::replace_if(
      name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return name;
}

int run_ladder(LadderVerb& verb, const LadderKind& kind, const Environment& environment) {
  if (verb.header) {
    fmt::print("{}", guest_header());
    return 0;
  }
  const KernelTable& table = kernels::select_table(environment.isa);
  if (!verb.host.empty()) return run_host(verb, kind, table);
  const std::vector<std::vector<Index>> sizes = sizes_of(verb, kind);
  for (const std::vector<Index>& size : sizes) require_memory(kind, size, !verb.with.empty());
  check_picture("--plot", verb.plot, {".svg", ".png", ".pdf"});
  if (!verb.plot.empty() && !verb.with.empty()) refuse_overwriting(verb.plot, {verb.with});
  verb.threads = kernels::usable_threads(verb.threads);
  std::unique_ptr<GuestBuild> build;
  if (!verb.with.empty()) {
    verb.guest.source = verb.with;
    verb.guest.temporary = environment.temporary;
    verb.guest.program = environment.program;
    verb.guest.isa = table.name;
    verb.guest.threads = verb.threads;
    build = std::make_unique<GuestBuild>(verb.guest);
  }
  std::vector<LadderResult> results;
  for (const std::vector<Index>& size : sizes) {
    const auto guest = build ? std::make_unique<Guest>(*build, verb.guest, kind, size) : nullptr;
    const auto rungs =
        static_cast<double>(kind.make(table, 1, std::vector<Index>(size.size(), 1))->rungs().size());
    const MeasureOptions options = {
        verb.threads, verb.repetitions,
        kSecondsInAll / static_cast<double>(sizes.size() * verb.repetitions) / rungs};
    {
      ProgressLine line(environment.terminal);
      const auto progress = [&](const std::string& doing) {
        line.show([&] { return fmt::format("ladder {} {}: {}", kind.name, fmt::join(size, ","), doing); });
      };
      results.push_back(measure(table, kind, size, options, guest.get(),
                                printable(Path(verb.with).filename().string()), progress));
    }
    if (!verb.json) {
      if (results.size() == 1)
        fmt::print("{}; isa {}, medians of {}; one thread: processor time\n", kind.formula, table.name,
                   verb.repetitions);
      print_table(kind, results.back());
      std::fflush(stdout);
    }
  }
  if (verb.json) {
    Json report = {{"ladder", kind.name}, {"isa", table.name}, {"repetitions", verb.repetitions}};
    for (const LadderResult& result : results) report["sizes"].push_back(json_of(result));
    fmt::print("{}\n", json_text(report, 2));
  } else {
    print_ideas(results.back());
  }
  if (!verb.plot.empty()) write_picture(verb.plot, roofline(kind, results.back()));
  return 0;
}

void add_kind(CLI::App& parent, const LadderKind& kind, const Environment& environment, Action& run) {
  const std::string name(kind.name);
  CLI::App* verb = parent.add_subcommand(name, std::string(kind.formula));
  const auto options = std::make_shared<LadderVerb>();
  verb->fallthrough();  // --isa may come last
  std::vector<std::string> defaults;
  for (const std::vector<Index>& size : kind.sizes)
    defaults.push_back(fmt::format("{}", fmt::join(size, ",")));
  verb->add_option(
          "--size", options->sizes,
          fmt::format("{}; may be repeated [default: {}]", kind.letters, fmt::join(defaults, " and ")))
      ->allow_extra_args(false);
  verb->add_option("--threads", options->threads, "of the rungs that use several")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  verb->add_option("--repetitions", options->repetitions, "of every rung, interleaved")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  verb->add_option("--plot", options->plot, "roofline of the last size: FILE.svg, FILE.png or FILE.pdf")
      ->check(not_empty());
  verb->add_option("--with", options->with,
                   "a rung of your own, C++: compiled, tested, timed and plotted beside the others")
      ->check(not_empty());
  verb->add_option("--compiler", options->guest.compiler, "that compiles it")->capture_default_str();
  verb->add_option("--time-limit", options->guest.time_limit, "seconds that one call of it may take")
      ->check(number_between(0.01, 86400))
      ->capture_default_str();
  verb->add_flag("--header", options->header, "print loglog_rung.hpp, which such a file includes");
  verb->add_flag("--json", options->json, "one JSON object on stdout, rates in FLOP/s");
  verb->add_option("--host", options->host)->group("");  // what a child process is started with
  verb->footer(
      fmt::format("Examples:\n"
                  "  loglog ladder {0}\n"
                  "  loglog ladder {0} --size {1} --threads 1 --plot roofline.svg\n"
                  "  loglog ladder {0} --with my_rung.cpp\n"
                  "  loglog --isa avx2 ladder {0} --json\n"
                  "Each rung has a page in docs/ladder/{0}/ and exercises in docs/ladder/exercises/.",
                  name, fmt::join(kind.sizes.front(), ",")));
  verb->callback([options, &kind, &environment, &run] {
    run = [options, &kind, &environment] { return run_ladder(*options, kind, environment); };
  });
}

}  // namespace

void add_ladder(CLI::App& app, const Environment& environment, Action& run) {
  CLI::App* verb =
      app.add_subcommand("ladder", "The teaching ladders: what each idea of a fast kernel is worth here");
  verb->require_subcommand(1);
  for (const LadderKind& kind : kernels::ladder::ladder_kinds()) add_kind(*verb, kind, environment, run);
}

}  // namespace loglog::cli
