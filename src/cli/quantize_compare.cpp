// loglog quantize --compare: the schemes side by side, as table 1 of the paper has them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "cli/form_speed.hpp"
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

// One line of the table.
struct Row {
  std::string name, title;
  eval::FormLosses losses;
  eval::PairedDifference more;
  Rates speed, over_float32;  // medians over the rounds; the second of ratios
  bool depends_on_batch = false;
};

class Comparison {
 public:
  Comparison(const QuantizeArguments& a, const ModelChoice& choice, const ModelData& data, bool terminal)
      : a_(a), choice_(choice), data_(data), line_(terminal) {}

  // The first line; false when a signal came. The model stays, for its speed beside that of the others, unless nobody asks for that.
  bool add_exact() {
    exact_.emplace(choice_, nullptr, data_, 0, cache_bytes(), MemoryLine::told);
    Row row;
    row.name = "f32", row.title = "float32";
    if (!measure_losses(*exact_, row)) return false;
    rows_.push_back(std::move(row));
    if (a_.no_speed)
      exact_.reset();
    else
      exact_speed_.emplace(exact_->model(), data_);
    return true;
  }

  // Another line, likewise.
  bool add(Row row, const quant::QuantizedWeights& weights) {
    ModelPasses passes(choice_, &weights, data_, 0, cache_bytes(), MemoryLine::silent);
    if (!measure_losses(passes, row)) return false;
    row.more = eval::paired_difference(row.losses.clusters, rows_.front().losses.clusters, a_.seed);
    if (exact_speed_) {
      FormSpeed speed(passes.model(), data_);
      row.over_float32 = measure_in_turn(*exact_speed_, speed);
      row.speed = speed.median();
    }
    rows_.push_back(std::move(row));
    return true;
  }

  // Behind the last line.
  void finish() {
    if (!exact_speed_) return;
    if (exact_speed_->rounds().empty()) exact_speed_->measure();  // there is no other line
    rows_.front().speed = exact_speed_->median();
    rows_.front().over_float32 = {1, 1};
  }

  void print() const {
    print_protocol(a_, choice_, data_, rows_.front().losses);
    fmt::print(
        "rise %: of perplexity, which is a token's, over float32's; 95% paired bootstrap over {} blocks of "
        "text{}\n\n",
        rows_.front().losses.clusters.clusters(),
        knows_bytes() ? "; per byte %: of per-byte perplexity" : "");
    fmt::print("{:<40} {:>11} {:>31} {:>9} {:>10} {:>9} {:>8} {:>5}", "scheme", "perplexity", "rise %",
               "bits/byte", "per byte %", "MiB", "int8 %", "dims");
    if (!a_.no_speed) fmt::print(" {:>10} {:>6} {:>9} {:>6}", "prompt/s", "x f32", "decode/s", "x f32");
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
  // The caches of both models whose speed is measured.
  std::size_t cache_bytes() const {
    return infer::Decoder::bytes(choice_.config().model, kernels::key_value_type(choice_.type()), 1);
  }

  bool measure_losses(ModelPasses& passes, Row& row) {
    const std::uint64_t windows = data_.sample().windows();
    auto losses = eval::form_losses(passes.model(), data_, stop_requested, [&](std::uint64_t done) {
      line_.show([&] { return fmt::format("{}: window {}/{}", row.name, done, windows); });
    });
    if (losses) row.losses = std::move(*losses);
    return losses.has_value();
  }

  bool knows_bytes() const { return data_.file().bytes_per_token() > 0; }

  // Of the perplexity of a unit of text, of which a token has so many, by a difference in nats per token.
  static double rise(double nats, double units) { return std::expm1(nats / units); }
  static Json rise_json(const eval::PairedDifference& d, double units) {
    return {{"mean", number(rise(d.mean, units))},
            {"low", number(rise(d.low, units))},
            {"high", number(rise(d.high, units))}};
  }

  void print_rises(const Row& row) const {
    const auto percent = [](double nats, double units) { return 100 * rise(nats, units); };
    const auto bits = data_.bits_per_byte(row.losses.loss);
    const bool is_exact = &row == &rows_.front();
    const eval::PairedDifference& d = row.more;
    fmt::print(" {:>31} {:>9} {:>10}",
               is_exact ? ""
                        : fmt::format("{:.4f} [{:.4f}, {:.4f}]", percent(d.mean, 1), percent(d.low, 1),
                                      percent(d.high, 1)),
               bits ? fmt::format("{:.4f}", *bits) : "-",
               is_exact        ? ""
               : knows_bytes() ? fmt::format("{:.4f}", percent(d.mean, data_.file().bytes_per_token()))
                               : "-");
  }

  void print_row(const Row& row) const {
    fmt::print("{:<40} {:>11.4f}", row.title + (row.depends_on_batch ? " *" : ""), std::exp(row.losses.loss));
    print_rises(row);
    fmt::print(" {:>9.2f}", static_cast<double>(row.losses.weight_bytes) / (1 << 20));
    if (row.losses.counts.all > 0)
      fmt::print(" {:>8.3f} {:>5}", 100 * row.losses.counts.int8_share(), row.losses.counts.most_dimensions);
    else
      fmt::print(" {:>8} {:>5}", "-", "-");
    if (!a_.no_speed)
      fmt::print(" {:>10.0f} {:>6.2f} {:>9.0f} {:>6.2f}", row.speed.prompt, row.over_float32.prompt,
                 row.speed.decode, row.over_float32.decode);
    fmt::print("\n");
  }

  static Json rates_json(const Rates& rates) {
    return {{"prompt", number(rates.prompt)}, {"decode", number(rates.decode)}};
  }

  Json as_json(const Row& row) const {
    Json line = {{"scheme", row.name},
                 {"title", row.title},
                 {"loss", number(row.losses.loss)},
                 {"perplexity", number(std::exp(row.losses.loss))}};
    if (const auto bits = data_.bits_per_byte(row.losses.loss)) line["bits_per_byte"] = number(*bits);
    if (&row != &rows_.front()) {
      line["difference"] = difference_json(row.more);
      line["rise_per_token"] = rise_json(row.more, 1);
      if (knows_bytes()) line["rise_per_byte"] = rise_json(row.more, data_.file().bytes_per_token());
    }
    line["bytes"] = row.losses.weight_bytes;
    add_counts(line, row.losses.counts);
    line["depends_on_batch"] = row.depends_on_batch;
    if (!a_.no_speed) {
      line["tokens_per_s"] = rates_json(row.speed);
      line["over_float32"] = rates_json(row.over_float32);
    }
    return line;
  }

  const QuantizeArguments& a_;
  const ModelChoice& choice_;
  const ModelData& data_;
  ProgressLine line_;
  std::vector<Row> rows_;
  std::optional<ModelPasses> exact_;
  std::optional<FormSpeed> exact_speed_;
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
  if (!comparison.add_exact()) return stop_exit_code();
  for (const quant::Plan& plan : plans) {
    if (const std::string missing = what_it_lacks(plan, choice, calibrated.has_value()); !missing.empty()) {
      talk("loglog: note: {} is left out: it needs {}\n", plan.scheme.name, missing);
      continue;
    }
    const auto add = [&](double share) {
      const quant::WeightsOfModel weights(
          choice.opened(), plan,
          calibrated ? quant::Calibrated{&calibrated->inputs, share} : quant::Calibrated{});
      return comparison.add(row_of(plan.scheme, share <= 1), weights);
    };
    constexpr double kNone = 2;  // no dimension is an outlier in so many positions
    if (!add(kNone)) return stop_exit_code();
    if (calibrated && plan.scheme.decomposes() && !add(a.calibration.share)) return stop_exit_code();
  }
  comparison.finish();
  if (a.json)
    comparison.print_json();
  else
    comparison.print();
  return static_cast<int>(Exit::done);
}

}  // namespace loglog::cli
