// loglog quantize: a model with its linear layers in int8, all schemes side by side, or one taken apart.
#include "cli/quantize.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/stoppable_file_system.hpp"
#include "cli/arguments.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "cli/verbs.hpp"
#include "kernels/table.hpp"
#include "train/run_record.hpp"

namespace loglog::cli {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  loglog quantize --list\n"
    "  loglog quantize runs/tiny --scheme llm-int8 -o models/tiny-int8\n"
    "  loglog quantize opt-1.3b --scheme llm-int8 --table bf16 -o models/opt-1.3b-int8     a folder of "
    "Hugging "
    "Face\n"
    "  loglog quantize runs/tiny --scheme smoothquant --calibrate train.tok -o models/tiny-smooth\n"
    "  loglog quantize runs/tiny --compare --data text.tok --calibrate text.tok\n"
    "  loglog quantize runs/tiny --budget --data text.tok --by site,layer          where the loss comes "
    "from\n"
    "  loglog generate models/tiny-int8 --prompt 'Once'        eval, generate and outliers take the result\n"
    "Norms, biases and positions stay float32; so do token embedding and head unless --table says "
    "otherwise.\n"
    "With --calibrate, dimensions that are outliers in the calibration text keep float32 weights; without, "
    "an\n"
    "outlier meets weights that come back from int8, as published.";

quant::TableForm table_of(const std::string& name) {
  const auto* found = std::ranges::find(quant::kTableForms, name);
  return static_cast<quant::TableForm>(found - std::begin(quant::kTableForms));
}

int list_schemes(bool json) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const quant::Scheme& s : quant::schemes()) {
    if (json)
      list.push_back({{"name", s.name}, {"title", s.title}, {"depends_on_batch", s.depends_on_batch()}});
    else
      fmt::print("{:<24} {}{}\n", s.name, s.title,
                 s.depends_on_batch() ? "; a result depends on the rest of its batch" : "");
  }
  if (json) fmt::print("{}\n", json_text(list));
  return static_cast<int>(Exit::done);
}

// false when a signal came: then nothing is left.
bool write_unless_stopped(const std::string& out, const ModelChoice& choice,
                          const quant::QuantizedWeights& weights,
                          const std::optional<quant::CalibrationRecord>& calibration) {
  StoppableFileSystem fs(real_file_system(), out, stop_requested);
  return unless_stopped(
      [&] { quant::write_quantized_model(fs, out, choice.opened(), weights, choice.table(), calibration); });
}

int write_model(const QuantizeArguments& a, const ModelChoice& choice) {
  if (a.out.empty())
    throw UsageError(
        "-o OUT is missing: the folder to make, or --compare to look at all schemes, --budget into one");
  const quant::Plan plan = plan_of(a, a.scheme, false);
  require_calibration(a, plan.scheme);
  require_new_folder(a.out, a.model.path);
  require_codec(choice.opened());
  const std::string notice = model::not_finite_notice(*choice.opened().parameters, choice.config().model);
  if (!notice.empty()) talk("loglog: note: {}\n", notice);
  std::optional<CalibrationRun> calibrated;
  if (!a.calibration.data.path.empty()) {
    calibrated = calibrate(a.calibration, choice, plan.scheme.threshold, MemoryLine::told);
    if (!calibrated) return stop_exit_code();
  }
  const quant::WeightsOfModel weights(
      choice.opened(), plan,
      calibrated ? quant::Calibrated{&calibrated->inputs, a.calibration.share} : quant::Calibrated{});
  std::optional<quant::CalibrationRecord> record;
  if (calibrated) record = calibrated->record;
  if (!write_unless_stopped(a.out, choice, weights, record)) return stop_exit_code();
  Index float_rows = 0;
  for (const model::ParameterShape& p : model::parameter_shapes(choice.config().model))
    float_rows += weights.float_rows(p.name);
  const auto bytes =
      static_cast<std::uint64_t>(std::filesystem::file_size(Path(a.out) / quant::kQuantizedFile));
  if (a.json) {
    const nlohmann::ordered_json out = {{"model", a.out},
                                        {"scheme", plan.scheme.name},
                                        {"table", a.table},
                                        {"bytes", bytes},
                                        {"float_rows", float_rows}};
    fmt::print("{}\n", json_text(out));
  } else {
    fmt::print("{}: {}, {:.1f} MiB, {} rows of weights kept in float32\n", a.out, plan.scheme.title,
               static_cast<double>(bytes) / (1 << 20), float_rows);
  }
  return static_cast<int>(Exit::done);
}

int quantize_verb(QuantizeArguments a, const Environment& environment) {
  if (a.model.path.empty())
    throw UsageError("MODEL is missing: a run, a model folder or a folder of Hugging Face");
  a.model.precision = "f32";  // what is not quantised
  const ModelChoice choice(a.model, environment);
  if (choice.weights() != nullptr) refuse_quantized(a.model.path, choice.weights()->plan().scheme.name);
  install_stop_signals();
  if (a.compare) return quantize_compare(a, choice, environment);
  return a.budget ? quantize_budget(a, choice, environment) : write_model(a, choice);
}

}  // namespace

quant::Plan plan_of(const QuantizeArguments& a, const std::string& name, bool lenient) {
  quant::Plan plan{quant::find_scheme(name), table_of(a.table)};
  quant::Scheme& s = plan.scheme;
  const auto apply = [&](const auto& value, bool fits, const char* option, auto set) {
    if (!value) return;
    if (fits) return set(*value);
    if (!lenient) throw UsageError(fmt::format("{} says nothing to scheme {}", option, name));
  };
  apply(a.threshold, s.decomposes(), "--threshold", [&](double t) { s.threshold = static_cast<float>(t); });
  apply(a.alpha, s.migration > 0, "--alpha", [&](double alpha) { s.migration = alpha; });
  apply(a.group, s.method == quant::Method::weight_only && s.group > 0, "--group",
        [&](std::uint64_t group) { s.group = static_cast<quant::Index>(group); });
  if (!lenient && !quant::takes_table(s, plan.table))
    throw UsageError(
        fmt::format("--table int8 quantises what the head takes, and scheme {} the weights alone: "
                    "--table takes f32 or bf16 here",
                    name));
  return plan;
}

void require_calibration(const QuantizeArguments& a, const quant::Scheme& scheme) {
  if (scheme.migration > 0 && a.calibration.data.path.empty())
    throw UsageError(fmt::format(
        "--scheme {} needs --calibrate F.tok: how large inputs are decides what it does", a.scheme));
}

void print_protocol(const QuantizeArguments& a, const ModelChoice& choice, const ModelData& data,
                    const eval::FormLosses& exact) {
  fmt::print(
      "{} windows of {} tokens, each token predicted from those before it in its window: {} tokens of {} "
      "({})\n",
      data.sample().windows(), choice.config().model.context, exact.clusters.count(),
      data.file().path().native(), a.data.split);
}

nlohmann::ordered_json measured_on(const QuantizeArguments& a, const ModelChoice& choice,
                                   const ModelData& data, const eval::FormLosses& exact) {
  return {{"model", a.model.path},
          {"data", data.file().path().native()},
          {"checksum", data.file().checksum_text()},
          {"split", a.data.split},
          {"window", choice.config().model.context},
          {"stride", choice.config().model.context},
          {"tokens", exact.clusters.count()},
          {"blocks", exact.clusters.clusters()},
          {"seed", a.seed},
          {"isa", choice.table().name},
          {"threads", choice.threads()}};
}

nlohmann::ordered_json difference_json(const eval::PairedDifference& d) {
  return {{"mean", train::number(d.mean)}, {"low", train::number(d.low)}, {"high", train::number(d.high)}};
}

namespace {

// What is measured instead of a model being made, and on which text.
void add_measuring_options(CLI::App& verb, QuantizeArguments& a) {
  CLI::Option* const scheme = verb.get_option("--scheme");
  CLI::Option* const out = verb.get_option("--out");
  auto* compare = verb.add_flag("--compare", a.compare, "perplexity of every scheme on a text, in one table")
                      ->excludes(scheme)
                      ->excludes(out);
  auto* budget =
      verb.add_flag("--budget", a.budget,
                    "what each part of a model costs in int8, alone and with all the others, and as noise")
          ->excludes(compare)
          ->excludes(out)
          ->excludes(verb.get_option("--table"));
  std::vector<CLI::Option*> of_both = add_data_arguments(verb, a.data);
  of_both.push_back(verb.add_option("--seed", a.seed, "of the bootstrap, and of noise")
                        ->check(whole_between(0, UINT64_MAX))
                        ->capture_default_str());
  for (CLI::Option* option : of_both)
    option->each([option, compare, budget](const std::string&) {
      if (compare->count() + budget->count() == 0)
        throw CLI::RequiresError(option->get_name(), "--compare or --budget");
    });
  verb.add_option("--schemes", a.schemes, "of these alone; several with commas")
      ->delimiter(',')
      ->needs(compare);
  verb.add_flag("--no-speed", a.no_speed,
                "leave out what depends on the hour, tokens per second; the float32 model then leaves memory "
                "before another form comes")
      ->needs(compare);
  verb.add_option("--by", a.by,
                  "parts: site, layer, dimension of the inputs; several with commas; default: all")
      ->delimiter(',')
      ->needs(budget)
      ->check(CLI::IsMember({"site", "layer", "dimension"}));
  auto* top = verb.add_option("--top", a.top, "how many dimensions of each site: those of the largest inputs")
                  ->needs(budget)
                  ->check(whole_between(1, 1'000'000))
                  ->capture_default_str();
  verb.add_option("--dims", a.dimensions, "these dimensions; several with commas")
      ->delimiter(',')
      ->needs(budget)
      ->excludes(top)
      ->check(whole_between(0, 1 << 24));
}

}  // namespace

void add_quantize(CLI::App& app, const Environment& environment, Action& run) {
  const auto a = std::make_shared<QuantizeArguments>();
  CLI::App* verb =
      app.add_subcommand("quantize", "a model in int8 by LLM.int8() or its rivals; all side by side");
  verb->add_flag("--list", a->list, "the schemes");
  verb->add_option("MODEL", a->model.path, "run folder, model folder, or folder of Hugging Face");
  verb->add_option("--threads", a->model.threads, "threads; default: one per usable core")
      ->check(CLI::Range(1, 4096));
  verb->add_option("--scheme", a->scheme, "which; see --list")->check(not_empty())->capture_default_str();
  verb->add_option("-o,--out", a->out, "folder to make")->check(not_empty());
  verb->add_option("--threshold", a->threshold, "magnitude from which an input is an outlier; default: 6")
      ->check(number_between(1e-6, 1e30));
  verb->add_option("--alpha", a->alpha,
                   "smoothquant: how much difficulty goes into the weights; default: 0.5")
      ->check(number_between(1e-6, 1));
  verb->add_option("--group", a->group, "weight-int4: inputs of a weight that share a scale; default: 64")
      ->check(whole_between(1, 1 << 20));
  verb->add_option(
          "--table", a->table,
          "token embedding and head: f32, bf16 or int8; not int8 of schemes that quantise weights alone")
      ->check(CLI::IsMember({"f32", "bf16", "int8"}))
      ->capture_default_str();
  add_calibration_options(*verb, a->calibration);
  add_measuring_options(*verb, *a);
  verb->add_flag("--json", a->json, "for programs");
  verb->footer(kFooter);
  verb->callback([a, &environment, &run] {
    run = [a, &environment] { return a->list ? list_schemes(a->json) : quantize_verb(*a, environment); };
  });
}

}  // namespace loglog::cli
