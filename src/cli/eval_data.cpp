// loglog eval --data: losses on a token file.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "cli/eval.hpp"
#include "cli/progress_line.hpp"
#include "cli/stop_signals.hpp"
#include "eval/breakdown.hpp"
#include "kernels/table.hpp"
#include "train/run_record.hpp"

namespace loglog::cli {
namespace {

using eval::Breakdown;
using train::Json;
using train::number;

bool wants(const EvalArguments& a, std::string_view table) {
  return std::find(a.by.begin(), a.by.end(), table) != a.by.end();
}

struct Result {
  eval::Evaluation evaluation;
  Breakdown parts;
};

// Nothing when a signal came.
std::optional<Result> measure(const ModelChoice& choice, const ModelData& data, const eval::Spans& spans,
                              bool terminal) {
  const data::FixedSample& sample = data.sample();
  ModelPasses passes(choice, data);
  std::vector<std::string> sources;
  for (const data::Source& source : data.file().sources()) sources.push_back(source.name);
  const auto context = static_cast<std::size_t>(choice.config().model.context);
  Result result{{}, Breakdown(context, sources, spans)};
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

void print_json(const EvalArguments& a, const ModelChoice& choice, const ModelData& data, const Result& r) {
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
              {"loss", number(r.evaluation.loss)}};
  if (r.parts.all().clusters() > 1) out["standard_error"] = number(r.parts.all().standard_error());
  if (const auto bits = data.bits_per_byte(r.evaluation.loss)) out["bits_per_byte"] = number(*bits);
  if (choice.weights() != nullptr) out["scheme"] = choice.weights()->plan().scheme.name;
  out["precision"] = choice.type() == model::FloatType::bfloat16 ? "bf16" : "f32";
  out["isa"] = choice.table().name;
  out["threads"] = choice.threads();
  if (wants(a, "position")) {
    out["positions"] = as_json(r.parts.positions(), "position");
    for (model::Index t = 0; t < choice.config().model.context; ++t)
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

void print_text(const EvalArguments& a, const ModelData& data, const Result& r) {
  fmt::print("{} tokens of {} ({}, {} windows in {} blocks)\n", r.evaluation.tokens,
             data.file().path().native(), a.data.split, data.sample().windows(), data.sample().blocks());
  fmt::print("loss {} nats per token", with_error(r.parts.all()));
  if (const auto bits = data.bits_per_byte(r.evaluation.loss)) fmt::print(", {:.4f} bits per byte", *bits);
  fmt::print("\n");
  if (wants(a, "position")) print_table("position", r.parts.positions());
  if (wants(a, "source")) print_table("source", r.parts.sources());
  if (!a.spans.empty()) print_table("span", r.parts.spans());
}

}  // namespace

int eval_data(const EvalArguments& a, const Environment& environment) {
  const ModelChoice choice(a.model, environment);
  const ModelData data(a.data, choice);
  const eval::Spans spans = a.spans.empty() ? eval::Spans() : eval::Spans::read(a.spans, data.file().size());
  install_stop_signals();
  const std::optional<Result> result = measure(choice, data, spans, environment.terminal);
  if (!result) return stop_exit_code();
  if (a.json)
    print_json(a, choice, data, *result);
  else
    print_text(a, data, *result);
  return static_cast<int>(std::isfinite(result->evaluation.loss) ? Exit::done : Exit::diverged);
}

}  // namespace loglog::cli
