// loglog eval --data: losses on a token file.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "cli/eval.hpp"
#include "cli/progress_line.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "eval/breakdown.hpp"
#include "eval/evaluate.hpp"
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

data::TokenFile open_data(const EvalArguments& a, const ModelChoice& choice) {
  const std::string& path = a.data.empty() ? choice.config().data.path : a.data;
  if (path.empty())
    throw UsageError("--data F.tok is missing: this model does not say what it was trained on");
  data::TokenFile file = data::TokenFile::open(path);
  const auto vocab = static_cast<std::uint64_t>(choice.config().model.vocab);
  if (file.vocab_size() > vocab) {
    throw InputError(
        fmt::format("'{}' has a vocabulary of {}, the model one of {}", path, file.vocab_size(), vocab));
  }
  const nlohmann::json tokenizer = file.meta().value("tokenizer", nlohmann::json());
  const std::string& own = choice.opened().tokenizer;
  if (!own.empty() && !tokenizer.is_null() && nlohmann::json::parse(own, nullptr, false) != tokenizer)
    talk("loglog: note: '{}' was made with another tokenizer than the model's data\n", path);
  return file;
}

std::vector<data::TokenRange> ranges_of(const EvalArguments& a, const ModelChoice& choice,
                                        const data::TokenFile& file) {
  if (a.split == "all") {
    std::vector<data::TokenRange> ranges;
    for (std::size_t i = 0; i < file.sources().size(); ++i)
      ranges.push_back({file.sources()[i].begin, file.sources()[i].end, i});
    return ranges;
  }
  const model::DataConfig& config = choice.config().data;
  data::SplitRanges split = data::make_split(file, config.split, config.val_share);
  return a.split == "train" ? std::move(split.train) : std::move(split.validation);
}

data::Documents documents_of(const ModelChoice& choice) {
  return data::documents_rule(choice.config().data.documents);
}

// Windows per pass: enough that products run at full speed. The result has the same bits with any number.
model::Index windows_per_pass(model::Index context) {
  constexpr model::Index kTokens = 4096;
  return std::max<model::Index>(1, kTokens / context);
}

struct Result {
  eval::Evaluation evaluation;
  Breakdown parts;
};

// Nothing when a signal came.
std::optional<Result> measure(const ModelChoice& choice, const data::TokenFile& file,
                              const data::FixedSample& sample, const eval::Spans& spans, bool terminal) {
  const model::Index context = choice.config().model.context, windows = windows_per_pass(context);
  const bool apart = documents_of(choice) == data::Documents::apart;
  const model::BatchShape shape{windows, context, apart};
  LoadedModel model(choice, shape, 0);
  const auto room = static_cast<std::size_t>(shape.rows());
  std::vector<data::Token> inputs(room), targets(room);
  std::vector<float> losses(room);
  std::optional<eval::PackedDocuments> documents;
  if (apart) documents.emplace(*file.document_end(), context, windows);
  std::vector<std::string> sources;
  for (const data::Source& source : file.sources()) sources.push_back(source.name);
  Result result{{}, Breakdown(static_cast<std::size_t>(context), sources, spans)};
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
  kernels::ExecContext ctx = model.context();
  const auto evaluation =
      eval::evaluate(ctx, model.gpt(), sample, file.sources(),
                     {inputs, targets, losses, documents ? &*documents : nullptr}, stop_requested, on_window);
  if (!evaluation) return std::nullopt;
  result.evaluation = *evaluation;
  return result;
}

std::optional<double> bits_per_byte(double loss, const data::TokenFile& file) {
  if (file.bytes_per_token() <= 0) return std::nullopt;
  return loss / std::numbers::ln2 / file.bytes_per_token();
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

void print_json(const EvalArguments& a, const ModelChoice& choice, const data::TokenFile& file,
                const data::FixedSample& sample, const Result& r) {
  Json out = {{"model", a.model.path},
              {"step", choice.opened().step},
              {"data", file.path().native()},
              {"checksum", file.checksum_text()},
              {"split", a.split},
              {"tokens", r.evaluation.tokens},
              {"windows", sample.windows()},
              {"blocks", sample.blocks()},
              {"loss", number(r.evaluation.loss)}};
  if (r.parts.all().clusters() > 1) out["standard_error"] = number(r.parts.all().standard_error());
  if (const auto bits = bits_per_byte(r.evaluation.loss, file)) out["bits_per_byte"] = number(*bits);
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

void print_text(const EvalArguments& a, const data::TokenFile& file, const data::FixedSample& sample,
                const Result& r) {
  fmt::print("{} tokens of {} ({}, {} windows in {} blocks)\n", r.evaluation.tokens, file.path().native(),
             a.split, sample.windows(), sample.blocks());
  fmt::print("loss {} nats per token", with_error(r.parts.all()));
  if (const auto bits = bits_per_byte(r.evaluation.loss, file)) fmt::print(", {:.4f} bits per byte", *bits);
  fmt::print("\n");
  if (wants(a, "position")) print_table("position", r.parts.positions());
  if (wants(a, "source")) print_table("source", r.parts.sources());
  if (!a.spans.empty()) print_table("span", r.parts.spans());
}

}  // namespace

int eval_data(const EvalArguments& a, const Environment& environment) {
  const ModelChoice choice(a.model, environment);
  const data::TokenFile file = open_data(a, choice);
  const std::vector<data::TokenRange> ranges = ranges_of(a, choice, file);
  const std::uint64_t tokens = a.tokens.value_or(static_cast<std::uint64_t>(choice.config().eval.tokens));
  const data::FixedSample sample(file, ranges, choice.config().model.context, tokens, documents_of(choice),
                                 choice.config().model.mutual_prefix());
  const eval::Spans spans = a.spans.empty() ? eval::Spans() : eval::Spans::read(a.spans, file.size());
  install_stop_signals();
  const std::optional<Result> result = measure(choice, file, sample, spans, environment.terminal);
  if (!result) return stop_exit_code();
  if (a.json)
    print_json(a, choice, file, sample, *result);
  else
    print_text(a, file, sample, *result);
  return static_cast<int>(std::isfinite(result->evaluation.loss) ? Exit::done : Exit::diverged);
}

}  // namespace loglog::cli
