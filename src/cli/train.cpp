// loglog train: one run.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/processors.hpp"
#include "cli/arguments.hpp"
#include "cli/loaded_model.hpp"
#include "cli/progress_line.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "cli/train.hpp"
#include "cli/verbs.hpp"
#include "kernels/peak.hpp"
#include "kernels/table.hpp"
#include "kernels/threads.hpp"
#include "train/bench.hpp"
#include "train/choose_table.hpp"
#include "train/trainer.hpp"

namespace loglog::cli {
namespace {

using train::Json;

struct Arguments : RunArguments {
  std::string resume_folder;
  bool resume = false;
  std::string fork;
  bool restart = false;
  model::Index bench = 0;
  bool json = false;
  bool keys = false;
};

constexpr const char* kFooter =
    "Examples:\n"
    "  loglog train --config configs/models/tiny.toml --out runs/tiny --set data.path=text.tok\n"
    "  loglog train --resume runs/tiny\n"
    "  loglog train --config configs/models/tiny.toml --set data.path=text.tok --bench 50 --json\n"
    "  loglog train --fork runs/trunk --out runs/cooled --set train.steps=2500 --set train.schedule=wsd\n"
    "  loglog train --fork runs/base --restart --out runs/tuned --set data.path=mine.tok --set "
    "train.steps=300\n"
    "A stop signal (TERM, INT, HUP, USR1, USR2) writes a checkpoint and exits with 75; a second INT stops at "
    "once.";

void print_keys() {
  fmt::print("{}", model::to_toml(model::RunConfig{}));
}

// --config, or what the run in --out was started with, or what --fork's parent was; then every --set.
model::RunConfig read_run_config(const Arguments& a, const std::optional<train::ForkOrigin>& fork) {
  const Path stored = Path(a.out) / "config.toml";
  if (a.config.empty() && !fork && !(a.resume && path_exists(stored))) {
    throw UsageError(a.resume ? fmt::format("'{}' holds no run to resume: give --config to start one, or "
                                            "begin a fork again with --fork",
                                            a.out)
                              : "--config FILE is missing");
  }
  model::RunConfig config;
  if (fork) config = train::fork_config(*fork, a.restart);
  if (!fork || !a.config.empty()) {
    const model::ForkConfig parent = config.fork;
    config = model::read_config(a.config.empty() ? stored : Path(a.config));
    if (fork) config.fork = parent;
  }
  apply_sets(config, a);
  return config;
}

const kernels::KernelTable& choose_row(const Arguments& a, const Environment& environment,
                                       const model::RunConfig& config) {
  return train::choose_table(environment.isa, config.train.isa,
                             a.resume ? train::row_of_run(a.out) : std::string());
}

// Of the products that a run of this precision makes.
double measured_peak(const model::RunConfig& config, const kernels::KernelTable& table, int threads) {
  const bool is_float32 = model::product_type(config.train) == kernels::FloatType::float32;
  const auto sample = is_float32 ? kernels::sample_fma_flops : kernels::sample_dot_bf16_flops;
  constexpr double kSeconds = 0.01;
  double best = 0;
  for (int i = 0; i < 5; ++i) best = std::max(best, sample(table, threads, kSeconds));
  return best;
}

std::string progress_text(const train::Progress& p, double peak_flops, bool with_bar) {
  constexpr int kBarWidth = 20;
  const double share = p.steps > 0 ? static_cast<double>(p.step) / static_cast<double>(p.steps) : 1.0;
  const auto filled = static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * kBarWidth);
  std::string text = with_bar ? fmt::format("[{:<{}}] ", std::string(filled, '#'), kBarWidth) : "";
  text += fmt::format("step {}/{}  loss {:.4f}", p.step, p.steps, p.train_loss);
  if (std::isfinite(p.val_loss)) text += fmt::format("  val {:.4f}", p.val_loss);
  return text + fmt::format("  {:.0f} tokens/s  {:.1f} GFLOP/s ({:.0f}% of peak)  {} left", p.tokens_per_s,
                            p.flops_per_s / 1e9, 100 * p.flops_per_s / peak_flops,
                            duration_text(p.seconds_left));
}

void print_plan(const train::RunMemory& plan, std::size_t available) {
  talk("memory (of {:.0f} MiB available):\n{}", static_cast<double>(available) / (1 << 20),
       train::describe(plan));
}

int bench(const Arguments& a, const model::RunConfig& config, const kernels::KernelTable& table,
          int threads) {
  if (!config.fork.parent.empty()) throw UsageError("--bench begins with new parameters: no fork.parent");
  const data::TokenFile file = data::TokenFile::open(config.data.path);
  const train::BenchResult r = train::bench_steps(config, file, table, threads, a.bench);
  const double peak = measured_peak(config, table, threads);
  std::vector<std::pair<std::string_view, double>> seconds(r.seconds.begin(), r.seconds.end());
  std::ranges::sort(seconds, std::greater(), &std::pair<std::string_view, double>::second);
  if (a.json) {
    Json out = {{"seconds_per_step", r.seconds_per_step},
                {"tokens_per_s", r.tokens_per_s},
                {"flops_per_s", r.flops_per_s},
                {"peak_flops_per_s", peak},
                {"share_of_peak", r.flops_per_s / peak},
                {"steps", a.bench},
                {"isa", table.name},
                {"precision", config.train.precision},
                {"threads", threads}};
    for (const auto& [family, time] : seconds) out["seconds"][std::string(family)] = time;
    fmt::print("{}\n", out.dump());
    return static_cast<int>(Exit::done);
  }
  fmt::print(
      "{:.3f} ms per step (median of {}), {:.0f} tokens/s, {:.1f} GFLOP/s, {:.0f}% of the measured peak "
      "({}, {}, {} threads)\n",
      r.seconds_per_step * 1e3, a.bench, r.tokens_per_s, r.flops_per_s / 1e9, 100 * r.flops_per_s / peak,
      config.train.precision, table.name, threads);
  for (const auto& [family, time] : seconds)
    if (time > 0) fmt::print("  {:<10} {:9.3f} ms\n", family, 1e3 * time);
  return static_cast<int>(Exit::done);
}

// What stands before a verb of this one would be without effect.
void refuse_options_before(const CLI::App& verb) {
  const std::string next = verb.get_subcommands().front()->get_name();
  for (const CLI::Option* option : verb.get_options()) {
    if (option->count() > 0)
      throw UsageError(
          fmt::format("{} stands before '{}': its options come behind it", option->get_name(), next));
  }
}

Exit print_result(const Arguments& a, const train::TrainResult& result) {
  const Json& end = result.end_event;
  if (a.json) {
    fmt::print("{}\n", end.dump());
  } else if (result.status == train::Status::done) {
    fmt::print("validation loss {:.4f} nats per token", result.val_loss);
    if (end.contains("bits_per_byte"))
      fmt::print(", {:.4f} bits per byte", end["bits_per_byte"].get<double>());
    fmt::print("; {} tokens, {:.2f} epochs, {:.1f} s, {:.0f} tokens/s\n", end["tokens"].get<model::Index>(),
               end["epochs"].get<double>(), end["seconds"].get<double>(), end["tokens_per_s"].get<double>());
  }
  switch (result.status) {
    case train::Status::done:
      return Exit::done;
    case train::Status::diverged:
      talk("loglog: diverged: loss or gradient is not finite after {} tokens (loss {}); {}\n",
           end["tokens"].get<model::Index>(), end["train_loss"].dump(),
           result.saved_step
               ? fmt::format("the checkpoint of step {} in '{}' is kept", *result.saved_step, a.out)
               : "no checkpoint was due before (train.checkpoint_every)");
      return Exit::diverged;
    case train::Status::checkpointed:
      talk("loglog: stopped with a checkpoint; go on with: loglog train --resume '{}'\n", a.out);
      return Exit::checkpointed;
  }
  return Exit::failed;
}

int train_verb(const Arguments& a, const Environment& environment) {
  if (a.keys) {
    print_keys();
    return static_cast<int>(Exit::done);
  }
  if (a.out.empty() && a.bench == 0) throw UsageError("--out DIR is missing");
  std::optional<train::ForkOrigin> fork;
  if (!a.fork.empty()) {
    require_float_model(a.fork);
    fork = train::find_fork_origin(real_file_system(), a.fork);
  }
  model::RunConfig config = read_run_config(a, fork);
  const kernels::KernelTable& table = choose_row(a, environment, config);
  // The run's own configuration names what was forced, so that it goes on like this.
  if (!environment.isa.empty()) config.train.isa = table.name;
  const int threads = choose_threads(a, config);
  if (a.bench > 0) return bench(a, config, table, threads);

  install_stop_signals();
  train::TrainOptions options = train_options(a, table, threads, environment);
  options.fewer_threads = a.threads == 0 && config.train.threads == 0;
  options.resume = a.resume;
  options.fork = fork;
  train::TrainResult result;
  with_progress(config, options, environment, [&] { result = train::train(config, options); });
  return static_cast<int>(print_result(a, result));
}

}  // namespace

void add_run_options(CLI::App& verb, RunArguments& a) {
  verb.add_option("--config", a.config, "TOML file; `loglog train --keys` shows every key with its default");
  verb.add_option("--out", a.out, "folder of the run: record, configuration, checkpoints");
  verb.add_option("--set", a.sets, "key=value, after the file; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  verb.add_option("--threads", a.threads, "threads; default: train.threads, else one per usable core")
      ->check(CLI::Range(1, 4096));
}

void apply_sets(model::RunConfig& config, const RunArguments& a) {
  for (const std::string& set : a.sets) model::apply_set(config, set);
  if (config.data.path.empty())
    throw UsageError("data.path is not set: name a token file, for example --set data.path=text.tok");
}

int choose_threads(const RunArguments& a, const model::RunConfig& config) {
  const int processors = static_cast<int>(usable_processors().size());
  const int configured = config.train.threads > 0 ? config.train.threads : processors;
  return kernels::usable_threads(a.threads > 0 ? a.threads : configured);
}

train::TrainOptions train_options(const RunArguments& a, const kernels::KernelTable& table, int threads,
                                  const Environment& environment) {
  train::TrainOptions options{.kernels = table, .threads = threads, .out = a.out};
  options.binary_hash = hash_hex_of_file(environment.program);
  options.stop_requested = stop_requested;
  options.on_plan = print_plan;
  options.on_note = [](const std::string& note) { talk("loglog: note: {}\n", note); };
  return options;
}

void with_progress(const model::RunConfig& config, train::TrainOptions& options,
                   const Environment& environment, const std::function<void()>& work) {
  ProgressLine line(environment.terminal);
  double peak = 0;  // of as many threads as the run turns out to have
  options.on_progress = [&](const train::Progress& p) {
    const auto text = [&] {
      if (peak == 0) peak = measured_peak(config, options.kernels, p.threads);
      return progress_text(p, peak, environment.terminal);
    };
    line.show(text, p.step == p.steps);
  };
  work();
}

void add_train(CLI::App& app, const Environment& environment, Action& run) {
  auto a = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("train", "train one model");
  add_run_options(*verb, *a);
  CLI::Option* resume = verb->add_option(
      "--resume", a->resume_folder,
      "go on from the newest checkpoint in DIR (default: --out), or start when there is none");
  resume->expected(0, 1)->type_name("[DIR]");
  CLI::Option* fork = verb->add_option("--fork", a->fork,
                                       "begin with a checkpoint of another run (its folder, or "
                                       "DIR/checkpoints/step-S.json): parameters, moments, "
                                       "steps, place in the data and configuration, which --set changes");
  fork->check(not_empty());
  verb->add_flag(
          "--restart", a->restart,
          "with --fork: parameters alone, from step 0: fine-tuning; PATH may then be an imported model too")
      ->needs(fork);
  fork->excludes(resume);
  verb->add_option("--bench", a->bench, "time N steps and write nothing")
      ->check(whole_between(1, 1'000'000'000))
      ->excludes(verb->get_option("--out"), resume, fork);
  verb->add_flag("--json", a->json, "result as JSON on stdout");
  verb->add_flag("--keys", a->keys, "print every configuration key with its default and meaning");
  verb->footer(kFooter);
  add_train_tune(*verb, environment, run);
  verb->callback([a, verb, resume, &environment, &run] {
    if (!verb->get_subcommands().empty()) return refuse_options_before(*verb);
    a->resume = resume->count() > 0;
    if (!a->resume_folder.empty()) {
      if (!a->out.empty() && a->out != a->resume_folder)
        throw UsageError("--resume DIR and --out name different folders");
      a->out = a->resume_folder;
    }
    run = [a, &environment] { return train_verb(*a, environment); };
  });
}

}  // namespace loglog::cli
