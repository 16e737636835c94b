// loglog outliers: what large activations a model has, and what they are worth to it.
#include "cli/outliers.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/items.hpp"
#include "cli/arguments.hpp"
#include "cli/picture_file.hpp"
#include "cli/verbs.hpp"
#include "quant/activations/activation_probe.hpp"

namespace loglog::cli {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  loglog outliers runs/tiny                                     on the run's own validation text\n"
    "  loglog outliers models/gpt2 --data book.tok --tokens 32768 --png gpt2.png\n"
    "  loglog outliers runs/tiny --zero --by-layer --json            and what zeroing them does\n"
    "  loglog outliers runs/tiny --dump qkv -o acts.safetensors      activations for tools of your own\n"
    "  loglog outliers --activations acts.npy                        of any other framework\n"
    "  loglog outliers --ladder outliers.db --png ladder.png         every kept run of a sweep, against loss "
    "and size\n"
    "Sites: attention_stream and mlp_stream (the residual stream before each norm), qkv, attention_out, up, "
    "down (what\n"
    "products take), head_stream, head. An outlier reaches the magnitude in --layer-share of the layers and "
    "at\n"
    "--position-share of the positions (Dettmers et al. 2022). docs/formats.md explains every number.";

// Hidden states of the stream's width: channel j of one is channel j of the others, or in attention_out of its own.
const std::vector<std::string> kCriterionSites = {"attention_stream", "qkv", "attention_out", "mlp_stream",
                                                  "up"};

// "a,b": CLI11's own lists let an empty item pass, and take what follows in its place.
CLI::Option* add_list(CLI::App& verb, const std::string& name, const CLI::Validator& item,
                      const std::function<void(const std::vector<std::string_view>&)>& take,
                      const std::string& help) {
  return verb
      .add_option_function<std::string>(
          name, [take](const std::string& text) { take(items_of(text)); }, help)
      ->check(CLI::Validator(
          [item](const std::string& text) {
            for (const std::string_view one : items_of(text))
              if (std::string why = item(std::string(one)); !why.empty()) return why;
            return std::string();
          },
          item.get_description()));
}

void add_criterion_options(CLI::App& verb, quant::SurveySettings& s) {
  const auto take_magnitudes = [&s](const std::vector<std::string_view>& items) {
    s.magnitudes.clear();
    for (const std::string_view item : items) s.magnitudes.push_back(std::stod(std::string(item)));
  };
  const auto take_sites = [&s](const std::vector<std::string_view>& items) {
    s.sites.assign(items.begin(), items.end());
  };
  add_list(verb, "--magnitude", number_between(1e-30, 1e30), take_magnitudes,
           "what an outlier reaches; further ones with commas are told besides")
      ->default_str(fmt::format("{}", fmt::join(s.magnitudes, ",")));
  verb.add_option("--relative", s.relative,
                  "also: so many times the median RMS of a hidden state's channels; 0: not, saves a pass")
      ->check(number_between(0, 1e30))
      ->capture_default_str();
  verb.add_option("--layer-share", s.rule.layer_share, "of the layers, in which it is reached at least once")
      ->check(number_between(0, 1))
      ->capture_default_str();
  verb.add_option("--position-share", s.rule.position_share, "of the positions, at which it is reached")
      ->check(number_between(0, 1))
      ->capture_default_str();
  // The inner sites of a branch have channels of their own, which share nothing but a number with those of the stream.
  add_list(verb, "--sites", not_empty(), take_sites,
           "hidden states that count, all with the same channels; default: qkv,up, of a file all");
  verb.add_option("--top", s.top, "channels of largest RMS that stand for a layer")
      ->check(whole_between(1, 1'000'000))
      ->capture_default_str();
  verb.add_option("--permutations", s.permutations, "draws of the null that layers have nothing in common")
      ->check(whole_between(1, 100'000'000))
      ->capture_default_str();
  verb.add_option("--seed", s.seed, "of permutations, random channels and intervals")
      ->check(whole_between(0, UINT64_MAX))
      ->capture_default_str();
}

void add_work_options(CLI::App& verb, OutlierArguments& a, const std::vector<CLI::Option*>& of_data) {
  CLI::Option* zero = verb.add_flag("--zero", a.zero,
                                    "set the outliers to zero, and as many random channels: perplexity and "
                                    "attention (without outliers: the --top of largest RMS)");
  verb.add_option("--draws", a.draws, "of random channels; each takes a pass")
      ->needs(zero)
      ->check(whole_between(1, 100'000))
      ->capture_default_str();
  verb.add_flag("--by-layer", a.by_layer,
                "zero them, and random ones, in one layer alone too, for every layer")
      ->needs(zero);
  verb.add_option("--batch", a.windows, "windows at a time; changes no result")
      ->check(whole_between(1, 65536));
  CLI::Option* out = verb.add_option("-o,--out", a.output, "file of --dump")->check(not_empty());
  CLI::Option* dump =
      verb.add_option("--dump", a.dump, "write the activations of this site, and nothing else")
          ->check(CLI::IsMember(quant::probe_sites()))
          ->needs(out)
          ->excludes(zero);
  out->needs(dump);
  CLI::Option* file =
      verb.add_option("--activations", a.activations, "FILE.safetensors or FILE.npy instead of a model")
          ->check(not_empty())
          ->excludes(dump, zero);
  for (CLI::Option* option : of_data) file->excludes(option);
  CLI::Option* ladder =
      verb.add_option("--ladder", a.ladder, "store of a sweep: all runs that kept their checkpoint")
          ->check(not_empty())
          ->excludes(file, dump, zero);
  verb.add_option("--sweep", a.sweep, "which, when the store holds several")->needs(ladder);
  verb.add_flag("--checkpoints", a.checkpoints, "every checkpoint of the run, as a ladder")
      ->excludes(ladder, file, dump, zero);
  verb.add_option("--resamples", a.resamples,
                  fmt::format("behind the intervals of a ladder; default: {}", kResamples))
      ->check(whole_between(0, 1'000'000));
}

// What some do not use, they refuse.
void exclude_unused(CLI::App& verb) {
  CLI::Option* const dump = verb.get_option("--dump");
  for (const char* const unused :
       {"--magnitude", "--relative", "--layer-share", "--position-share", "--sites", "--top",
        "--permutations", "--seed", "--checkpoints", "--png", "--svg", "--json"})
    dump->excludes(verb.get_option(unused));
  CLI::Option* const file = verb.get_option("--activations");
  for (const char* const unused : {"--quantized", "--precision", "--batch"})
    file->excludes(verb.get_option(unused));
}

// Nobody may read a pipe, and to open it waits until somebody does.
void refuse_stream(const char* option, const std::string& path) {
  if (!path.empty() && is_stream(path))
    throw UsageError(fmt::format("{} '{}' is a pipe or a device: write it to disk", option, path));
}

template <class Value>
void refuse_twice(const char* option, const std::vector<Value>& values) {
  for (auto at = values.begin(); at != values.end(); ++at)
    if (std::find(values.begin(), at, *at) != at)
      throw UsageError(fmt::format("{}: {} is named twice", option, *at));
}

// Before any work.
void check_arguments(const OutlierArguments& a) {
  refuse_twice("--magnitude", a.survey.magnitudes);
  refuse_twice("--sites", a.survey.sites);
  if (a.resamples && a.ladder.empty() && !a.checkpoints)
    throw UsageError("--resamples: there are intervals of --ladder and --checkpoints alone");
  refuse_stream("--out", a.output);
  refuse_stream("--png", a.png);
  refuse_stream("--svg", a.svg);
  check_picture("--png", a.png, {".png"});
  check_picture("--svg", a.svg, {".svg"});
}

int run_verb(OutlierArguments a, const Environment& environment) {
  const bool needs_model = a.activations.empty() && a.ladder.empty();
  if (needs_model && a.model.path.empty())
    throw UsageError("MODEL is missing; --activations FILE and --ladder STORE do without");
  if (!needs_model && !a.model.path.empty())
    throw UsageError(fmt::format("MODEL '{}' beside {}: one of the two", a.model.path,
                                 a.ladder.empty() ? "--activations" : "--ladder"));
  check_arguments(a);
  if (!a.dump.empty()) return dump_activations(a, environment);
  if (!a.activations.empty()) return outliers_of_file(a);
  for (const std::string& site : a.survey.sites)
    if (std::ranges::find(kCriterionSites, site) == kCriterionSites.end())
      throw UsageError(fmt::format("--sites '{}': those that count for the criterion are {}", site,
                                   fmt::join(kCriterionSites, ", ")));
  if (!a.ladder.empty()) return outliers_of_ladder(a, environment);
  return a.checkpoints ? outliers_of_checkpoints(a, environment) : outliers_of_model(a, environment);
}

}  // namespace

void add_outliers(CLI::App& app, const Environment& environment, Action& run) {
  const auto a = std::make_shared<OutlierArguments>();
  a->survey.sites = {};
  CLI::App* verb =
      app.add_subcommand("outliers", "large activations of a model, and what they are worth to it");
  add_model_arguments(*verb, a->model);
  verb->get_option("MODEL")->required(false);
  const std::vector<CLI::Option*> of_data = add_data_arguments(*verb, a->data);
  add_criterion_options(*verb, a->survey);
  add_work_options(*verb, *a, of_data);
  verb->add_option("--png", a->png, "heat map of layers and channels, or the curves of a ladder")
      ->check(not_empty());
  verb->add_option("--svg", a->svg, "the same")->check(not_empty());
  verb->add_flag("--json", a->json, "for programs");
  exclude_unused(*verb);
  verb->footer(kFooter);
  verb->callback([a, &environment, &run] { run = [a, &environment] { return run_verb(*a, environment); }; });
}

}  // namespace loglog::cli
