// loglog eval --task: answers to questions.
#include <fmt/format.h>

#include <cmath>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "cli/arguments.hpp"
#include "cli/cache_type.hpp"
#include "cli/eval.hpp"
#include "cli/progress_line.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "eval/task_metrics.hpp"
#include "kernels/table.hpp"
#include "train/run_record.hpp"

namespace loglog::cli {
namespace {

using eval::ItemScore;
using eval::Metric;
using eval::Task;
using eval::TaskKind;
using train::Json;
using train::number;

Json as_json(const ItemScore& item, TaskKind kind, const data::TextCodec* codec) {
  Json line = {{"line", item.line}};
  if (kind == TaskKind::multiple_choice) {
    line["answer"] = item.right;
    for (const eval::AnswerScore& a : item.answers) line["log_probs"].push_back(number(a.log_prob()));
  } else {
    line["log_prob"] = number(item.answers[0].log_prob());
    line["exact_match"] = item.output == item.target;
    line["edit_distance"] = eval::edit_distance(item.output, item.target);
    line["target"] = item.target;
    line["output"] = item.output;
    if (codec != nullptr) {
      std::string text;  // without what only pads the vocabulary
      for (const eval::Token t : item.output) text += t < codec->vocab_size() ? codec->bytes_of(t) : "";
      line["output_text"] = text;
    }
  }
  for (const float x : item.answers[item.right].token_log_probs)
    line["token_log_probs"].push_back(number(double(x)));
  return line;
}

void write_items(const std::string& path, const std::vector<ItemScore>& items, TaskKind kind,
                 const data::TextCodec* codec) {
  std::string text;
  for (const ItemScore& item : items) text += json_text(as_json(item, kind, codec)) + "\n";
  write_atomically(real_file_system(), path, text);
}

void print_json(const EvalArguments& a, const ModelChoice& choice, const Task& task,
                const std::vector<Metric>& metrics) {
  Json out = {{"model", a.model.path},
              {"step", choice.opened().step},
              {"task", a.task},
              {"kind", eval::task_kind_name(task.kind)},
              {"items", task.items.size()},
              {"metrics", Json::object()}};
  for (const Metric& m : metrics) {
    Json& metric = out["metrics"][m.name] = {{"value", number(m.value)}};
    if (std::isnan(m.low)) continue;  // a single item
    metric["lo"] = number(m.low);
    metric["hi"] = number(m.high);
  }
  out["precision"] = choice.type() == model::FloatType::bfloat16 ? "bf16" : "f32";
  out["cache"] = cache_name(cache_type(a.cache, choice.type()));
  out["isa"] = choice.table().name;
  fmt::print("{}\n", json_text(out));
}

void print_text(const Task& task, const std::vector<Metric>& metrics) {
  fmt::print("{} items of {} ({})\n\n{:<20} {:>10}   95% interval\n", task.items.size(), task.path.native(),
             eval::task_kind_name(task.kind), "", "mean");
  for (const Metric& m : metrics) {
    fmt::print("{:<20} {:>10.4f}", m.name, m.value);
    if (!std::isnan(m.low)) fmt::print("   {:.4f} to {:.4f}", m.low, m.high);
    fmt::print("\n");
  }
}

}  // namespace

int eval_task(const EvalArguments& a, const Environment& environment) {
  if (!a.items.empty()) {
    refuse_overwriting(a.items, {a.task});
    check_writable(real_file_system(), a.items);
  }
  std::optional<TaskKind> kind;
  if (!a.kind.empty()) kind = eval::task_kind(a.kind);
  Task task = eval::read_task(a.task, kind);
  const ModelChoice choice(a.model, environment);
  const model::ModelConfig& config = choice.config().model;
  const std::unique_ptr<data::TextCodec> codec = choice.codec();
  eval::tokenise(task, codec.get(), static_cast<std::size_t>(config.vocab),
                 static_cast<std::size_t>(config.context),
                 static_cast<std::size_t>(infer::shortest_prompt(config)));

  const auto slots = static_cast<infer::Index>(std::min<std::uint64_t>(a.batch, task.items.size()));
  const kernels::KeyValueType cache = cache_type(a.cache, choice.type());
  const auto model =
      load_model(choice, infer::decoding_shape(config, slots), infer::Decoder::bytes(config, cache, slots));
  infer::Decoder decoder(model->gpt(), slots, cache);
  install_stop_signals();
  kernels::ExecContext ctx = model->context();
  std::optional<std::vector<ItemScore>> scores;
  {
    ProgressLine line(environment.terminal);
    scores = eval::score_task(ctx, decoder, task, [&](std::size_t done) {
      line.show([&] { return fmt::format("item {}/{}", done, task.items.size()); },
                done == task.items.size());
      return !stop_requested();
    });
  }
  if (!scores) return stop_exit_code();
  const std::vector<Metric> metrics = eval::task_metrics(*scores, task.kind, a.seed);
  if (!a.items.empty()) write_items(a.items, *scores, task.kind, codec.get());
  if (a.json)
    print_json(a, choice, task, metrics);
  else
    print_text(task, metrics);
  return static_cast<int>(Exit::done);
}

}  // namespace loglog::cli
