// loglog train tune: a local search for the learning rate, or for another number.
#include <cmath>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "cli/arguments.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "cli/train.hpp"
#include "train/choose_table.hpp"
#include "train/tune.hpp"

namespace loglog::cli {
namespace {

using train::Json;

struct Arguments : RunArguments {
  train::TuneOptions tune;
  bool json = false;
};

std::string value_text(double value) {
  return value == std::round(value) ? fmt::format("{:.0f}", value) : fmt::format("{:.4g}", value);
}

void print_tuned(const Arguments& a, const train::Tuned& tuned) {
  if (a.json) {
    Json points = Json::array();
    for (const train::TunePoint& p : tuned.points)
      points.push_back(
          {{"value", p.value}, {"val_loss", train::number(p.loss)}, {"out", as_utf8(p.out.native())}});
    Json out;
    out["key"] = a.tune.key;
    if (tuned.value) out["value"] = *tuned.value;
    out["at_end"] = tuned.at_end;
    out["points"] = points;
    fmt::print("{}\n", out.dump());
    return;
  }
  fmt::print("{:>12}  validation loss\n", a.tune.key);
  for (const train::TunePoint& p : tuned.points) {
    fmt::print("{:>12}  {}\n", value_text(p.value),
               std::isfinite(p.loss) ? fmt::format("{:.4f}", p.loss) : "diverged");
  }
  if (!tuned.value) return;
  fmt::print("best: --set {}={}{}\n", a.tune.key, value_text(*tuned.value),
             tuned.at_end ? ", at the end of what was tried: more --points, or start from there" : "");
}

int tune_verb(const Arguments& a, const Environment& environment) {
  if (a.config.empty()) throw UsageError("--config FILE is missing");
  if (a.out.empty()) throw UsageError("--out DIR is missing");
  model::RunConfig config = model::read_config(a.config);
  apply_sets(config, a);
  const kernels::KernelTable& table = train::choose_table(environment.isa, config.train.isa, "");
  install_stop_signals();
  train::TrainOptions options = train_options(a, table, choose_threads(a, config), environment);
  options.on_plan = {};
  std::optional<train::Tuned> tuned;
  with_progress(config, options, environment, [&] { tuned = train::tune(config, a.tune, options); });
  if (!tuned) {
    talk("loglog: stopped with a checkpoint; the same command goes on\n");
    return static_cast<int>(Exit::checkpointed);
  }
  print_tuned(a, *tuned);
  if (tuned->value) return static_cast<int>(Exit::done);
  talk("loglog: every run diverged: there is no best {}, begin with another\n", a.tune.key);
  return static_cast<int>(Exit::diverged);
}

}  // namespace

void add_train_tune(CLI::App& train, const Environment& environment, Action& run) {
  auto a = std::make_shared<Arguments>();
  CLI::App* verb =
      train.add_subcommand("tune", "search the best learning rate, or another number, on short runs");
  add_run_options(*verb, *a);
  verb->add_option("--key", a->tune.key,
                   fmt::format("what to search: {}", fmt::join(train::tunable_keys(), ", ")))
      ->capture_default_str();
  verb->add_option("--factor", a->tune.factor, "between values that are tried")->capture_default_str();
  verb->add_option("--share", a->tune.share, "of the configuration's tokens, for each run")
      ->capture_default_str();
  verb->add_option("--points", a->tune.points, "runs at most, from 3")->capture_default_str();
  verb->add_flag("--json", a->json, "result as JSON on stdout");
  verb->footer(
      "Begins with the value of the configuration and its neighbours, and goes on where the best is at the "
      "end.\n"
      "Example:\n"
      "  loglog train tune --config configs/models/tiny.toml --set data.path=text.tok --out runs/tune\n"
      "Finished runs in --out are not trained again: a stopped search goes on with the same command.");
  verb->callback([a, &environment, &run] { run = [a, &environment] { return tune_verb(*a, environment); }; });
}

}  // namespace loglog::cli
