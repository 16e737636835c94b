// loglog plant: outlier features that change nothing of what a model computes in float32.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/stoppable_file_system.hpp"
#include "cli/arguments.hpp"
#include "cli/loaded_model.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "cli/verbs.hpp"
#include "formats/imported.hpp"
#include "kernels/isa.hpp"
#include "kernels/table.hpp"
#include "quant/planted_model.hpp"

namespace loglog::cli {
namespace {

using model::Index;

constexpr std::uint64_t kSeed = 1;  // unless --seed says another

struct Arguments {
  std::string model;
  std::string out;
  std::string dims;
  std::string layers;
  std::optional<double> scale;
  std::optional<std::uint64_t> seed;
  bool one_signed = false;
  bool undo = false;
  bool json = false;
};

constexpr const char* kFooter =
    "Examples:\n"
    "  loglog plant runs/tiny --dims 6 --scale 128 -o models/planted     six channels that --seed draws\n"
    "  loglog plant runs/tiny --dims 7,19 --scale 64 --one-signed -o models/planted\n"
    "  loglog plant models/planted --undo -o models/as-before\n"
    "In each block the norms' gain and bias of a channel are multiplied by the scale and the rows that read "
    "it\n"
    "divided, so that every bit of the float32 output stays and what changes later is quantisation. "
    "--one-signed\n"
    "makes (nearly) all values of a channel positive; it changes rounding alone, within the bound of\n"
    "docs/formats.md. 'N' channels are drawn of the half whose norms write most, by the root of gain^2 + "
    "bias^2\n"
    "in the norm where it is least; of all, and that is said, where they are more. 'N,' is channel N alone.";

// "3,17,40"; "7," is a list too. UsageError.
std::vector<Index> parse_list(const std::string& text, std::string_view option) {
  std::vector<Index> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    Index number = 0;
    const auto parsed = std::from_chars(at, end, number);
    const bool ends_well = parsed.ec == std::errc() && (parsed.ptr == end || *parsed.ptr == ',');
    if (!ends_well)
      throw UsageError(fmt::format("{} {}: '{}' is no whole number; right would be 3,17,40", option, text,
                                   std::string(at, end).substr(0, 40)));
    numbers.push_back(number);
    at = parsed.ptr == end ? end : parsed.ptr + 1;
  }
  return numbers;
}

// What was said of the channels: a count, or which.
struct Channels {
  std::optional<Index> count;
  std::vector<Index> list;
};

Channels parse_channels(const Arguments& a) {
  Channels channels{{}, parse_list(a.dims, "--dims")};
  if (a.dims.find(',') == std::string::npos) {
    channels.count = channels.list.front();
    channels.list.clear();
  } else if (a.seed) {
    throw UsageError("--seed draws channels, and --dims lists them");
  }
  return channels;
}

// The root mean square at which one of 16.7 normal values, 6% of the positions, is at least 6: 6 / 1.881 (Dettmers et al. 2022,
// section 4.1, count a feature from there on).
constexpr double kRmsOfOutliers = 3.19;

void note_weak(const quant::Planting& planting, const std::vector<double>& rms) {
  std::vector<Index> weak;
  for (std::size_t i = 0; i < rms.size(); ++i)
    if (rms[i] < kRmsOfOutliers) weak.push_back(planting.channels[i]);
  if (weak.empty() || planting.scale == 1) return;
  talk(
      "loglog: note: channel {} may reach 6.0 in fewer than 6% of the positions of some layer: the norm's "
      "gain there "
      "is small\n",
      fmt::join(weak, ", "));
}

// Of each planted channel, in the norm where it is least.
std::vector<double> planted_rms(const model::Gpt& gpt, const quant::Planting& planting) {
  const std::vector<double> least = quant::least_rms(gpt, planting.layers);
  std::vector<double> rms;
  for (const Index j : planting.channels) rms.push_back(least[static_cast<std::size_t>(j)]);
  return rms;
}

void report(const Arguments& a, const quant::Planting& planting, const std::vector<double>& rms) {
  if (a.json) {
    nlohmann::ordered_json result = {{"out", a.out},
                                     {"undone", a.undo},
                                     {"scale", planting.scale},
                                     {"one_signed", planting.one_signed},
                                     {"channels", planting.channels},
                                     {"layers", planting.layers}};
    if (!a.undo) result["least_rms"] = rms;
    fmt::print("{}\n", json_text(result));
    return;
  }
  fmt::print("{}: {} {} {} x {:g}{} in {} {}\n", a.out,
             a.undo ? "taken back:" : "planted:", planting.channels.size() == 1 ? "channel" : "channels",
             fmt::join(planting.channels, ", "), planting.scale, planting.one_signed ? ", one-signed," : "",
             planting.layers.size() == 1 ? "block" : "blocks", fmt::join(planting.layers, ", "));
}

// A run as a model folder. A row that trained it elsewhere, of other last bits than the best one here, goes with it as with the run.
model::RunConfig folder_config(const model::OpenedModel& opened) {
  model::RunConfig config = opened.config;
  config.fork = {};
  const bool is_of_best = opened.isa.empty() || opened.isa == kernels::select_table("auto").float32;
  if (config.train.isa == "auto" && !is_of_best) config.train.isa = opened.isa;
  return config;
}

// The text of a codec.json without what the writer adds.
std::string tokenizer_of(const model::OpenedModel& opened) {
  std::string text = opened.tokenizer;
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

int undo(const Arguments& a, const model::OpenedModel& opened, model::Gpt& gpt, FileSystem& fs) {
  const quant::Planted planted = quant::undo_planted(a.model, gpt);
  model::write_model_folder(fs, a.out, folder_config(opened), gpt, tokenizer_of(opened));
  report(a, planted.planting, {});
  return static_cast<int>(Exit::done);
}

int plant(const Arguments& a, const model::OpenedModel& opened, model::Gpt& gpt, FileSystem& fs) {
  const std::string notice = model::not_finite_notice(model::GptParameters(gpt), opened.config.model);
  if (!notice.empty()) throw InputError(fmt::format("'{}': {}", opened.tensors.native(), notice));
  const Channels channels = parse_channels(a);
  quant::Planting planting{*a.scale, a.one_signed, channels.list, parse_list(a.layers, "--layers")};
  if (channels.count && *channels.count > kernels::ceil_div(opened.config.model.width, Index{2}))
    talk(
        "loglog: note: {} channels are more than the half of {} whose norms write most: they are drawn of "
        "all\n",
        *channels.count, opened.config.model.width);
  if (channels.count)
    planting.channels = quant::choose_channels(gpt, *channels.count, planting.layers, a.seed.value_or(kSeed));
  const quant::Planted planted = quant::plant(gpt, planting);
  quant::write_planted_model(fs, a.out, folder_config(opened), gpt, tokenizer_of(opened), planted);
  const std::vector<double> rms = planted_rms(gpt, planted.planting);
  note_weak(planted.planting, rms);
  report(a, planted.planting, rms);
  return static_cast<int>(Exit::done);
}

// Before anything is read.
void check_arguments(const Arguments& a) {
  require_new_folder(a.out, a.model);
  if (a.undo) return;
  if (a.dims.empty() || !a.scale)
    throw UsageError(fmt::format("{} missing: --dims and --scale say what to plant, --undo takes it back",
                                 a.scale          ? "--dims is"
                                 : a.dims.empty() ? "--dims and --scale are"
                                                  : "--scale is"));
  parse_channels(a);
  parse_list(a.layers, "--layers");
}

int plant_verb(const Arguments& a) {
  check_arguments(a);
  require_float_model(a.model);
  const model::OpenedModel opened = model::open_model(a.model);
  const Path record = Path(a.model) / quant::kPlantedFile;
  if (!a.undo && input_exists(record))
    throw UsageError(fmt::format(
        "'{}' says that outliers are planted already: take them back with --undo first", record.native()));
  require_codec(opened);
  require_room(opened.config.model);
  const auto gpt = formats::make_holder(opened.config.model);
  model::load_parameters(opened, *gpt);
  install_stop_signals();  // reading leaves nothing behind, wherever a signal ends it
  StoppableFileSystem fs(real_file_system(), a.out, stop_requested);
  int code = 0;
  const bool finished =
      unless_stopped([&] { code = a.undo ? undo(a, opened, *gpt, fs) : plant(a, opened, *gpt, fs); });
  return finished ? code : stop_exit_code();
}

}  // namespace

void add_plant(CLI::App& app, const Environment&, Action& run) {
  const auto a = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("plant", "outlier features that leave the float32 output as it is");
  verb->add_option("model", a->model, "run folder or model folder")->required();
  verb->add_option("-o,--out", a->out, "folder to make")->required()->check(not_empty());
  CLI::Option* const undo = verb->add_flag("--undo", a->undo, "take back what was planted in MODEL");
  CLI::Option* const planting[] = {
      verb->add_option("--dims", a->dims,
                       "required without --undo: how many channels, or which: 6, or 3,17,40")
          ->check(not_empty()),
      verb->add_option("--scale", a->scale, "required without --undo: factor, a power of two from 1"),
      verb->add_option("--layers", a->layers, "blocks, as 0,2,5; default: all")->check(not_empty()),
      verb->add_flag("--one-signed", a->one_signed, "channels of one sign, through the norms' biases"),
      verb->add_option("--seed", a->seed, fmt::format("draws the channels of a count; default: {}", kSeed))
          ->check(whole_between(0, UINT64_MAX))};
  for (CLI::Option* option : planting) option->excludes(undo);
  verb->add_flag("--json", a->json, "result as JSON on stdout");
  verb->footer(kFooter);
  verb->callback([a, &run] { run = [a] { return plant_verb(*a); }; });
}

}  // namespace loglog::cli
