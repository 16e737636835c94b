// loglog quantize --compare: the schemes side by side, as table 1 of the paper has them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/seconds.hpp"
#include "base/stats.hpp"
#include "cli/int8_counts.hpp"
#include "cli/progress_line.hpp"
#include "cli/quantize.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "eval/form_losses.hpp"
#include "infer/decoder.hpp"
#include "kernels/table.hpp"
#include "train/run_record.hpp"

namespace loglog::cli {
namespace {

using train::Json;
using train::number;

struct Speed {
  double prompt = 0, decode = 0;  // tokens per second
};

// One line of the table.
struct Row {
  std::string name, title;
  eval::FormLosses losses;
  eval::PairedDifference more;
  Speed speed;
  bool depends_on_batch = false;
};

// Median rates of a prompt of at most 512 tokens, and of one sequence token by token behind it.
Speed measure_speed(quant::RunningModel& model, const ModelData& data) {
  constexpr Index kPrompt = 512, kNew = 16;
  constexpr int kRounds = 5;
  const Index context = model.gpt().config().context,
              prompt = std::max<Index>(1, std::min(kPrompt, context / 2));
  std::vector<data::Token> inputs(static_cast<std::size_t>(context)), targets(inputs.size());
  data.sample().fill(0, inputs, targets);
  infer::Decoder decoder(model.gpt(), 1);
  kernels::ExecContext ctx = model.context();
  const std::span<const data::Token> tokens(inputs);
  const auto read = [&](std::size_t first, std::size_t count) {
    const infer::Piece piece{0, tokens.subspan(first, count)};
    decoder.next(ctx, std::span(&piece, 1));
  };
  std::vector<double> prompts, decodes;
  for (int round = 0; round < kRounds; ++round) {
    decoder.forget(0);
    const auto n = static_cast<std::size_t>(prompt),
               more = static_cast<std::size_t>(std::min(kNew, context - prompt));
    prompts.push_back(static_cast<double>(n) / seconds_of([&] { read(0, n); }));
    if (more == 0) continue;
    decodes.push_back(static_cast<double>(more) / seconds_of([&] {
                        for (std::size_t i = 0; i < more; ++i) read(n + i, 1);
                      }));
  }
  return {median(prompts), decodes.empty() ? 0.0 : median(decodes)};
}

class Comparison {
 public:
  Comparison(const QuantizeArguments& a, const ModelChoice& choice, const ModelData& data, bool terminal)
      : a_(a), choice_(choice), data_(data), line_(terminal) {}

  // Adds a line; false when a signal came. Null weights are float32.
  bool add(Row row, const quant::QuantizedWeights* weights) {
    ModelPasses passes(
        choice_, weights, data_, 0,
        infer::Decoder::bytes(choice_.config().model, kernels::key_value_type(choice_.type()), 1),
        rows_.empty() ? MemoryLine::told : MemoryLine::silent);
    const std::uint64_t windows = data_.sample().windows();
    auto losses = eval::form_losses(passes.model(), data_, stop_requested, [&](std::uint64_t done) {
      line_.show([&] { return fmt::format("{}: window {}/{}", row.name, done, windows); });
    });
    if (!losses) return false;
    row.losses = std::move(*losses);
    if (!rows_.empty())
      row.more = eval::paired_difference(row.losses.clusters, rows_.front().losses.clusters, a_.seed);
    if (!a_.no_speed) row.speed = measure_speed(passes.model(), data_);
    rows_.push_back(std::move(row));
    return true;
  }

  void print() const {
    print_protocol(a_, choice_, data_, rows_.front().losses);
    fmt::print("rise of perplexity against float32, 95% paired bootstrap over {} blocks of text\n\n",
               rows_.front().losses.clusters.clusters());
    fmt::print("{:<40} {:>11} {:>9} {:>31} {:>9} {:>8} {:>5}", "scheme", "perplexity", "bits/byte", "rise %",
               "MiB", "int8 %", "dims");
    if (!a_.no_speed) fmt::print(" {:>10} {:>9}", "prompt/s", "decode/s");
    fmt::print("\n");
    for (const Row& row : rows_) print_row(row);
    if (std::ranges::any_of(rows_, &Row::depends_on_batch))
      fmt::print("\n* a token's result depends on the other tokens of its pass\n");
  }

  void print_json() const {
    Json out = measured_on(a_, choice_, data_, rows_.front().losses);
    for (const Row& row : rows_) out["schemes"].push_back(as_json(row));
    fmt::print("{}\n", json_text(out));
  }

 private:
  // Of per-byte perplexity where the bytes of text are known, else of a token's.
  double rise(double nats) const {
    const double bytes = data_.file().bytes_per_token();
    return std::expm1(nats / (bytes > 0 ? bytes : 1.0));
  }

  void print_row(const Row& row) const {
    const auto bits = data_.bits_per_byte(row.losses.loss);
    fmt::print("{:<40} {:>11.4f} {:>9} ", row.title + (row.depends_on_batch ? " *" : ""),
               std::exp(row.losses.loss), bits ? fmt::format("{:.4f}", *bits) : "-");
    if (&row == &rows_.front())
      fmt::print("{:>31}", "");
    else
      fmt::print("{:>31}", fmt::format("{:.4f} [{:.4f}, {:.4f}]", 100 * rise(row.more.mean),
                                       100 * rise(row.more.low), 100 * rise(row.more.high)));
    fmt::print(" {:>9.2f}", static_cast<double>(row.losses.weight_bytes) / (1 << 20));
    if (row.losses.counts.all > 0)
      fmt::print(" {:>8.3f} {:>5}", 100 * row.losses.counts.int8_share(), row.losses.counts.most_dimensions);
    else
      fmt::print(" {:>8} {:>5}", "-", "-");
    if (!a_.no_speed) fmt::print(" {:>10.0f} {:>9.0f}", row.speed.prompt, row.speed.decode);
    fmt::print("\n");
  }

  Json as_json(const Row& row) const {
    Json line = {{"scheme", row.name},
                 {"title", row.title},
                 {"loss", number(row.losses.loss)},
                 {"perplexity", number(std::exp(row.losses.loss))}};
    if (const auto bits = data_.bits_per_byte(row.losses.loss)) line["bits_per_byte"] = number(*bits);
    if (&row != &rows_.front()) {
      line["difference"] = difference_json(row.more);
      line["rise"] = {{"mean", number(rise(row.more.mean))},
                      {"low", number(rise(row.more.low))},
                      {"high", number(rise(row.more.high))}};
    }
    line["bytes"] = row.losses.weight_bytes;
    add_counts(line, row.losses.counts);
    line["depends_on_batch"] = row.depends_on_batch;
    if (!a_.no_speed)
      line["tokens_per_s"] = {{"prompt", number(row.speed.prompt)}, {"decode", number(row.speed.decode)}};
    return line;
  }

  const QuantizeArguments& a_;
  const ModelChoice& choice_;
  const ModelData& data_;
  ProgressLine line_;
  std::vector<Row> rows_;
};

// For a scheme that cannot be used here; else empty.
std::string what_it_lacks(const quant::Plan& plan, const ModelChoice& choice, bool calibrated) {
  const quant::Scheme& scheme = plan.scheme;
  if (!quant::takes_table(scheme, plan.table)) return "--table f32 or bf16, since it quantises weights alone";
  if (scheme.migration == 0) return "";
  if (!calibrated) return "--calibrate F.tok";
  return choice.config().model.norm == "none" ? "norms with gains" : "";
}

Row row_of(const quant::Scheme& scheme, bool calibrated) {
  Row row;
  row.name = scheme.name + (calibrated ? "+calibrated" : "");
  row.title = scheme.title + (calibrated ? ", calibrated" : "");
  row.depends_on_batch = scheme.depends_on_batch();
  return row;
}

}  // namespace

int quantize_compare(const QuantizeArguments& a, const ModelChoice& choice, const Environment& environment) {
  std::vector<quant::Plan> plans;
  if (a.schemes.empty()) {
    for (const quant::Scheme& scheme : quant::schemes()) plans.push_back(plan_of(a, scheme.name, true));
  } else {
    for (const std::string& name : a.schemes) plans.push_back(plan_of(a, name, true));
  }
  const ModelData data(a.data, choice);
  std::optional<CalibrationRun> calibrated;
  if (!a.calibration.data.path.empty()) {
    calibrated =
        calibrate(a.calibration, choice, static_cast<float>(a.threshold.value_or(6.0)), MemoryLine::silent);
    if (!calibrated) return stop_exit_code();
  }
  Comparison comparison(a, choice, data, environment.terminal);
  Row exact;
  exact.name = "f32", exact.title = "float32";
  if (!comparison.add(exact, nullptr)) return stop_exit_code();
  for (const quant::Plan& plan : plans) {
    if (const std::string missing = what_it_lacks(plan, choice, calibrated.has_value()); !missing.empty()) {
      talk("loglog: note: {} is left out: it needs {}\n", plan.scheme.name, missing);
      continue;
    }
    const auto add = [&](double share) {
      const quant::WeightsOfModel weights(
          choice.opened(), plan,
          calibrated ? quant::Calibrated{&calibrated->inputs, share} : quant::Calibrated{});
      return comparison.add(row_of(plan.scheme, share <= 1), &weights);
    };
    constexpr double kNone = 2;  // no dimension is an outlier in so many positions
    if (!add(kNone)) return stop_exit_code();
    if (calibrated && plan.scheme.decomposes() && !add(a.calibration.share)) return stop_exit_code();
  }
  if (a.json)
    comparison.print_json();
  else
    comparison.print();
  return static_cast<int>(Exit::done);
}

}  // namespace loglog::cli
