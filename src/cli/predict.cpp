// loglog predict: losses foretold before their runs are trained, and how they came out.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/json_text.hpp"
#include "cli/arguments.hpp"
#include "cli/fit.hpp"
#include "cli/talk.hpp"
#include "cli/verbs.hpp"
#include "predict/prediction_file.hpp"
#include "predict/score.hpp"
#include "sweep/training.hpp"

namespace loglog::cli {
namespace {

using Json = nlohmann::ordered_json;

struct RegisterArguments {
  Path config, data, output;
  std::string arm;
  FitInput input;
  predict::PredictOptions options;
};

int run_register(const RegisterArguments& arguments) {
  sweep::SweepSpec spec = sweep::read_sweep(arguments.config, arguments.arm);
  if (!arguments.data.empty()) spec.base.data.path = arguments.data.native();
  refuse_overwriting(arguments.output, {arguments.input.path, arguments.config});
  // What was said before is evidence: it is not said anew.
  if (path_exists(arguments.output))
    throw RefusedError(
        fmt::format("{} exists: a registered prediction is not replaced", arguments.output.native()));
  const fit::Table fitted = read_fit_table(arguments.input);
  sweep::DataReader data(spec.base);
  const sweep::Grid grid =
      sweep::expand(spec, [&](const model::RunConfig& config) { return data(config).facts; });
  predict::PredictOptions options = arguments.options;
  options.fitted_sweep = arguments.input.sweep;
  const predict::PredictionSet set = predict::predictions_of(spec, grid, fitted, options);
  write_atomically(real_file_system(), arguments.output, predict::to_jsonl(set));
  fmt::print("{} fitted to {} runs of up to {:.3g} FLOPs; {}\n", set.basis.law, set.basis.fitted_runs,
             set.basis.largest_C, set.basis.interval);
  fmt::print("{:<28} {:>9} {:>9} {:>8}  {:<20} {:>9} {:>9}\n", "run", "FLOPs", "of dearest", "loss",
             "95% for one run", "floorless", "unchanged");
  for (const predict::Prediction& p : set.list)
    fmt::print("{:<28} {:>9.3g} {:>10.2f} {:>8.4f}  [{:.4f}, {:.4f}] {:>11.4f} {:>9.4f}\n", p.name, p.C,
               p.C / set.basis.largest_C, p.loss, p.one.low, p.one.high, p.floorless, p.unchanged);
  talk("commit {}, then: loglog sweep run {} --predictions {}\n", arguments.output.native(),
       arguments.config.native(), arguments.output.native());
  return static_cast<int>(Exit::done);
}

struct ScoreArguments {
  std::vector<Path> files;
  Path store, output;
  bool json = false;
};

struct ScoredFile {
  Path file;
  predict::PredictionSet set;
  std::vector<predict::Scored> runs;
};

Json to_json(const predict::Scored& s, double largest_C) {
  const predict::Prediction& p = s.prediction;
  Json run = {{"name", p.name},    {"run", p.run},
              {"C", p.C},          {"times_dearest", p.C / largest_C},
              {"said", p.loss},    {"lo", p.one.low},
              {"hi", p.one.high},  {"half_width", s.half_width()},
              {"state", s.state},  {"registered", s.registered},
              {"commit", s.commit}};
  if (s.loss) {
    run["reached"] = *s.loss;
    run["inside"] = s.inside();
    run["error"] = s.error();
    run["floorless_error"] = s.floorless_error();
    run["unchanged_error"] = s.unchanged_error();
  }
  return run;
}

Json to_json(const std::vector<ScoredFile>& files) {
  Json list = Json::array();
  int reached = 0, inside = 0;
  for (const ScoredFile& f : files) {
    Json runs = Json::array();
    for (const predict::Scored& s : f.runs) {
      runs.push_back(to_json(s, f.set.basis.largest_C));
      if (s.loss) ++reached, inside += s.inside() ? 1 : 0;
    }
    list.push_back({{"file", f.file.native()},
                    {"law", f.set.basis.law},
                    {"fitted_runs", f.set.basis.fitted_runs},
                    {"largest_C", f.set.basis.largest_C},
                    {"runs", runs}});
  }
  return {{"files", list}, {"reached", reached}, {"inside", inside}};
}

void print_file(const ScoredFile& f) {
  fmt::print("{}: {} fitted to {} runs of up to {:.3g} FLOPs\n", f.file.native(), f.set.basis.law,
             f.set.basis.fitted_runs, f.set.basis.largest_C);
  fmt::print("{:<28} {:>10} {:>8} {:>18} {:>6} {:>8} {:>8} {:>9} {:>9} {:>9}  {}\n", "run", "of dearest",
             "said", "95%", "+-%", "reached", "error%", "floorless", "unchanged", "inside", "commit");
  for (const predict::Scored& s : f.runs) {
    const predict::Prediction& p = s.prediction;
    fmt::print("{:<28} {:>10.2f} {:>8.4f} [{:.4f}, {:.4f}] {:>6.2f} ", p.name, p.C / f.set.basis.largest_C,
               p.loss, p.one.low, p.one.high, 100 * s.half_width());
    if (!s.loss) {
      fmt::print("{:>8}\n", s.state);
      continue;
    }
    fmt::print("{:>8.4f} {:>8.2f} {:>9.2f} {:>9.2f} {:>9}  {}\n", *s.loss, 100 * s.error(),
               100 * s.floorless_error(), 100 * s.unchanged_error(), s.inside() ? "yes" : "no",
               s.registered ? s.commit.substr(0, 12) : "not registered");
  }
}

int run_score(const ScoreArguments& arguments) {
  const sweep::Store store(arguments.store, sweep::Store::Mode::read);
  std::vector<ScoredFile> files;
  for (const Path& file : arguments.files) {
    const std::string text = read_input(file);
    predict::PredictionSet set = predict::read_predictions(text, file.native());
    auto runs = predict::score(set, hash_hex(std::as_bytes(std::span(text))), store);
    files.push_back({file, std::move(set), std::move(runs)});
  }
  const Json json = to_json(files);
  const std::string text = json_text(json, 2) + "\n";
  if (!arguments.output.empty()) write_atomically(real_file_system(), arguments.output, text);
  if (arguments.json) {
    fmt::print("{}", text);
    return static_cast<int>(Exit::done);
  }
  for (const ScoredFile& file : files) print_file(file);
  fmt::print("{} of {} inside\n", json["inside"].get<int>(), json["reached"].get<int>());
  return static_cast<int>(Exit::done);
}

void add_register(CLI::App& predict, Action& run) {
  CLI::App* verb =
      predict.add_subcommand("register", "fit a law to finished runs and foretell those of a sweep");
  const auto a = std::make_shared<RegisterArguments>();
  verb->add_option("config", a->config, "sweep file (TOML) whose runs are foretold")->required();
  verb->add_option("--arm", a->arm, "the sweep with the keys of its [arm.NAME]");
  verb->add_option("--data", a->data, "token file, in place of data.path");
  add_fit_input(*verb, a->input);
  verb->get_option("--input")->required();
  verb->add_option("--law", a->options.law, "that is fitted")->capture_default_str();
  verb->add_option("--floorless", a->options.floorless, "rival without a floor")->capture_default_str();
  verb->add_option("--interval", a->options.interval, "as of fit")->capture_default_str();
  verb->add_option("--bootstrap", a->options.bootstrap, "resamples")
      ->capture_default_str()
      ->check(whole_between(1, 1'000'000));
  verb->add_option("--seed", a->options.seed, "of the resampling")->capture_default_str();
  verb->add_option("-o,--output", a->output, "file to make, one JSON line a run")->required();
  verb->footer(
      "Example: loglog predict register configs/sweeps/far.toml --input laws.db --sweep laws-text -o "
      "far.jsonl");
  verb->callback([a, &run] { run = [a] { return run_register(*a); }; });
}

void add_score(CLI::App& predict, Action& run) {
  CLI::App* verb = predict.add_subcommand("score", "predictions beside what their runs reached");
  const auto a = std::make_shared<ScoreArguments>();
  verb->add_option("files", a->files, "of `loglog predict register`")->required();
  verb->add_option("--store", a->store, "store that holds the runs")->required();
  verb->add_flag("--json", a->json, "print JSON instead of a table");
  verb->add_option("-o,--output", a->output, "also write the JSON to this file");
  verb->footer("Example: loglog predict score predictions/*.jsonl --store laws.db");
  verb->callback([a, &run] { run = [a] { return run_score(*a); }; });
}

}  // namespace

void add_predict(CLI::App& app, const Environment&, Action& run) {
  CLI::App* verb =
      app.add_subcommand("predict", "Foretell losses before their runs are trained, and score them");
  verb->require_subcommand(1);
  add_register(*verb, run);
  add_score(*verb, run);
}

}  // namespace loglog::cli
