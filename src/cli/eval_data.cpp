// loglog eval --data: losses on a token file.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "cli/eval.hpp"
#include "cli/int8_counts.hpp"
#include "cli/progress_line.hpp"
#include "cli/stop_signals.hpp"
#include "eval/breakdown.hpp"
#include "kernels/table.hpp"
#include "train/run_record.hpp"

namespace loglog::cli {
namespace {

using eval::Breakdown;
using model::Index;
using train::Json;
using train::number;

bool wants(const EvalArguments& a, std::string_view table) {
  return std::find(a.by.begin(), a.by.end(), table) != a.by.end();
}

struct Result {
  eval::Evaluation evaluation;
  Breakdown parts;
  quant::ProductCounts counts;
  Index float_rows = 0;  // of weights, that calibration keeps in float32
};

Index float_rows_of(const ModelChoice& choice, const quant::QuantizedWeights* weights) {
  Index rows = 0;
  if (weights == nullptr) return rows;
  for (const model::ParameterShape& p : model::parameter_shapes(choice.config().model))
    rows += weights->float_rows(p.name);
  return rows;
}

// In this form. Nothing when a signal came.
std::optional<Result> measure(const ModelChoice& choice, const quant::QuantizedWeights* weights,
                              const ModelData& data, const eval::Spans& spans, bool terminal) {
  const data::FixedSample& sample = data.sample();
  ModelPasses passes(choice, weights, data);
  std::vector<std::string> sources;
  for (const data::Source& source : data.file().sources()) sources.push_back(source.name);
  const auto context = static_cast<std::size_t>(choice.config().model.context);
  Result result{{}, Breakdown(context, sources, spans), {}, float_rows_of(choice, weights)};
  ProgressLine line(terminal);
  const eval::Clusters clusters(sample);
  const auto on_window = [&](std::uint64_t w, std::span<const float> window,
                             std::span<const data::Token> wanted) {
    result.parts.add({sample.begin(w), clusters.of(w), sample.source(w), window, wanted});
    line.show(
        [&] {
          return fmt::format("window {}/{}  loss {:.4f}", w + 1, sample.windows(), result.parts.all().mean());
        },
        w + 1 == sample.windows());
  };
  const auto evaluation = passes.run(on_window);
  if (!evaluation) return std::nullopt;
  result.evaluation = *evaluation;
  result.counts = passes.model().counts();
  return result;
}

Json as_json(const std::vector<eval::Part>& parts, const char* key) {
  Json list = Json::array();
  for (const eval::Part& part : parts) {
    Json item = {{key, part.name}, {"tokens", part.loss.count()}};
    if (part.loss.count() > 0) item["loss"] = number(part.loss.mean());
    if (part.loss.clusters() > 1) item["standard_error"] = number(part.loss.standard_error());
    list.push_back(std::move(item));
  }
  return list;
}

// What a quantised model's treatment of outliers made of it.
Json calibrated_json(const ModelData& data, const Result& r) {
  Json json = {{"loss", number(r.evaluation.loss)}, {"perplexity", number(std::exp(r.evaluation.loss))}};
  if (const auto bits = data.bits_per_byte(r.evaluation.loss)) json["bits_per_byte"] = number(*bits);
  json["float_rows"] = r.float_rows;
  add_counts(json, r.counts);
  return json;
}

void print_json(const EvalArguments& a, const ModelChoice& choice, const ModelData& data, const Result& r,
                const std::optional<Result>& calibrated) {
  const data::TokenFile& file = data.file();
  const data::FixedSample& sample = data.sample();
  Json out = {{"model", a.model.path},
              {"step", choice.opened().step},
              {"data", file.path().native()},
              {"checksum", file.checksum_text()},
              {"split", a.data.split},
              {"tokens", r.evaluation.tokens},
              {"windows", sample.windows()},
              {"blocks", sample.blocks()},
              {"loss", number(r.evaluation.loss)},
              {"perplexity", number(std::exp(r.evaluation.loss))}};
  if (r.parts.all().clusters() > 1) out["standard_error"] = number(r.parts.all().standard_error());
  if (const auto bits = data.bits_per_byte(r.evaluation.loss)) out["bits_per_byte"] = number(*bits);
  if (choice.weights() != nullptr) {
    out["scheme"] = choice.weights()->plan().scheme.name;
    out["float_rows"] = r.float_rows;
    add_counts(out, r.counts);
  }
  if (calibrated) out["calibrated"] = calibrated_json(data, *calibrated);
  out["precision"] = choice.type() == model::FloatType::bfloat16 ? "bf16" : "f32";
  out["isa"] = choice.table().name;
  out["threads"] = choice.threads();
  if (wants(a, "position")) {
    out["positions"] = as_json(r.parts.positions(), "position");
    for (Index t = 0; t < choice.config().model.context; ++t)
      out["loss_at"].push_back(number(r.parts.loss_at(static_cast<std::size_t>(t))));
  }
  if (wants(a, "source")) out["sources"] = as_json(r.parts.sources(), "source");
  if (!a.spans.empty()) out["spans"] = as_json(r.parts.spans(), "span");
  fmt::print("{}\n", json_text(out));
}

std::string with_error(const eval::ClusteredMean& loss) {
  if (loss.count() == 0) return "-";
  return loss.clusters() > 1 ? fmt::format("{:.4f} +- {:.4f}", loss.mean(), loss.standard_error())
                             : fmt::format("{:.4f}", loss.mean());
}

void print_table(const char* name, const std::vector<eval::Part>& parts) {
  fmt::print("\n{:<24} {:>20} {:>12}\n", name, "loss", "tokens");
  for (const eval::Part& part : parts)
    fmt::print("{:<24} {:>20} {:>12}\n", part.name, with_error(part.loss), part.loss.count());
}

void print_loss(const ModelData& data, const Result& r) {
  fmt::print("loss {} nats per token", with_error(r.parts.all()));
  if (const auto bits = data.bits_per_byte(r.evaluation.loss)) fmt::print(", {:.4f} bits per byte", *bits);
  fmt::print(", perplexity {:.4f}\n", std::exp(r.evaluation.loss));
}

// How outliers of a quantised model were multiplied.
void print_treatment(const quant::Scheme& scheme, const Result& r) {
  if (scheme.decomposes())
    fmt::print("outliers meet {}\n",
               r.float_rows == 0
                   ? "dequantised weights"
                   : fmt::format("{} float32 rows of weights that calibration kept, else dequantised "
                                 "weights",
                                 r.float_rows));
  if (const std::string counts = counts_text(r.counts); !counts.empty()) fmt::print("{}\n", counts);
}

void print_text(const EvalArguments& a, const ModelChoice& choice, const ModelData& data, const Result& r,
                const std::optional<Result>& calibrated) {
  fmt::print("{} tokens of {} ({}, {} windows in {} blocks)\n", r.evaluation.tokens,
             data.file().path().native(), a.data.split, data.sample().windows(), data.sample().blocks());
  print_loss(data, r);
  if (choice.weights() != nullptr) print_treatment(choice.weights()->plan().scheme, r);
  if (calibrated) {
    fmt::print("\ncalibrated: ");
    print_loss(data, *calibrated);
    print_treatment(choice.weights()->plan().scheme, *calibrated);
  }
  if (wants(a, "position")) print_table("position", r.parts.positions());
  if (wants(a, "source")) print_table("source", r.parts.sources());
  if (!a.spans.empty()) print_table("span", r.parts.spans());
}

// The same model with the weights of outliers as calibration finds them in float32. Nothing when a signal came.
std::optional<Result> measure_calibrated(const EvalArguments& a, const ModelChoice& choice,
                                         const ModelData& data, const eval::Spans& spans, bool terminal) {
  const quant::Plan& plan = choice.weights()->plan();
  const auto run = calibrate(a.calibration, choice, plan.scheme.threshold, MemoryLine::silent);
  if (!run) return std::nullopt;
  const quant::WeightsOfModel weights(choice.opened(), plan, {&run->inputs, a.calibration.share});
  return measure(choice, &weights, data, spans, terminal);
}

// Before anything runs.
void check_calibration(const EvalArguments& a, const ModelChoice& choice) {
  const quant::Scheme& scheme = choice.weights()->plan().scheme;
  require_float_model(a.model.path);
  if (!scheme.decomposes())
    throw UsageError(
        fmt::format("--calibrate says nothing to scheme {}, which takes no outliers out", scheme.name));
  if (choice.type() != model::FloatType::float32)
    throw UsageError("--precision bf16: calibration looks at a model in float32");
}

}  // namespace

int eval_data(const EvalArguments& a, const Environment& environment) {
  const ModelChoice choice(a.model, environment);
  const bool is_calibrated = !a.calibration.data.path.empty();
  if (is_calibrated) check_calibration(a, choice);
  const ModelData data(a.data, choice);
  const eval::Spans spans = a.spans.empty() ? eval::Spans() : eval::Spans::read(a.spans, data.file().size());
  install_stop_signals();
  const std::optional<Result> result = measure(choice, choice.weights(), data, spans, environment.terminal);
  if (!result) return stop_exit_code();
  const std::optional<Result> calibrated =
      is_calibrated ? measure_calibrated(a, choice, data, spans, environment.terminal) : std::nullopt;
  if (is_calibrated && !calibrated) return stop_exit_code();
  if (a.json)
    print_json(a, choice, data, *result, calibrated);
  else
    print_text(a, choice, data, *result, calibrated);
  return static_cast<int>(std::isfinite(result->evaluation.loss) ? Exit::done : Exit::diverged);
}

}  // namespace loglog::cli
