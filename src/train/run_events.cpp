#include "train/run_events.hpp"

#include <numbers>
#include <numeric>

#include "kernels/table.hpp"
#include "model/count.hpp"
#include "train/memory.hpp"
#include "train/noise_scale.hpp"

namespace loglog::train {
namespace {

void add_bits_per_byte(Json& event, const RunFacts& run, double loss) {
  if (run.file.bytes_per_token() <= 0) return;  // tokens that stand for no text
  event["bits_per_byte"] = number(loss / std::numbers::ln2 / run.file.bytes_per_token());
}

}  // namespace

std::string_view status_name(Status status) {
  switch (status) {
    case Status::done:
      return "done";
    case Status::diverged:
      return "diverged";
    case Status::checkpointed:
      return "checkpointed";
  }
  return "";
}

Json config_event(const RunFacts& run, const TrainState& state) {
  Json event;
  event["identity"] = run.identity;
  event["config"] = Json::parse(model::to_json(run.config));
  event["data"] = {{"checksum", run.file.checksum_text()},
                   {"tokens", run.file.size()},
                   {"tokens_per_epoch", state.batcher().tokens_per_epoch()},
                   {"validation_tokens", state.sample().tokens()},
                   {"validation_blocks", state.sample().blocks()},
                   {"bytes_per_token", run.file.bytes_per_token()}};
  if (run.bigram_entropy) event["data"]["bigram_entropy"] = *run.bigram_entropy;
  event["isa"] = run.kernels.float32;
  event["threads"] = run.threads;
  event["memory_bytes"] = plan_memory(run.config, run.kernels, run.threads).total();
  return event;
}

Json eval_event(const RunFacts& run, const eval::Evaluation& evaluation) {
  Json event;
  event["val_loss"] = number(evaluation.loss);
  add_bits_per_byte(event, run, evaluation.loss);
  for (const eval::SourceLoss& source : evaluation.sources) {
    event["sources"].push_back(
        {{"name", source.name}, {"tokens", source.tokens}, {"val_loss", number(source.loss)}});
  }
  return event;
}

Json end_event(const RunFacts& run, const RunPosition& position, const TrainState& state, Status status,
               const std::optional<eval::Evaluation>& evaluation) {
  const auto tokens = static_cast<double>(position.tokens);
  const model::ParameterCounts n = model::count_parameters(run.config.model);
  const model::FlopCounts flops = model::count_flops_per_token(run.config.model);
  Json event;
  event["status"] = status_name(status);
  if (position.step > 0) event["train_loss"] = number(position.train_loss);
  if (status == Status::done) {
    event["val_loss"] = number(evaluation->loss);
    add_bits_per_byte(event, run, evaluation->loss);
    event["sources"] = Json::object();
    for (const eval::SourceLoss& source : evaluation->sources)
      event["sources"][source.name] = number(source.loss);
  }
  event["seconds"] = position.seconds;
  event["train_seconds"] = position.train_seconds;
  const auto own_tokens = static_cast<double>(position.tokens - position.parent_tokens);
  event["tokens_per_s"] = position.train_seconds > 0 ? own_tokens / position.train_seconds : 0.0;
  if (run.bigram_entropy) event["bigram_entropy"] = *run.bigram_entropy;
  const auto& drawn = position.source_windows;
  event["epochs"] = state.batcher().epochs(std::accumulate(drawn.begin(), drawn.end(), std::uint64_t{0}));
  for (const data::Exposure& e : state.batcher().exposure(drawn))
    event["exposure"][run.file.sources()[e.source].name] = {{"windows", e.windows}, {"epochs", e.epochs}};
  const auto& sums = position.noise_sums;
  if (const auto noise = NoiseScale(NoiseScale::Sums{sums[0], sums[1], sums[2]}).tokens())
    event["noise_scale"] = *noise;
  event["flops_kaplan"] = flops.kaplan * tokens;
  event["flops_6nd"] = flops.n6d * tokens;
  event["flops_math"] = flops.math * tokens;
  event["flops_mfu"] = flops.mfu * tokens;
  event["n_nonemb"] = n.n_nonemb;
  event["n_matrix"] = n.n_matrix;
  event["n_total"] = n.n_total;
  event["isa"] = run.kernels.float32;
  event["threads"] = run.threads;
  event["resident_bytes"] = resident_memory();
  event["peak_bytes"] = peak_memory();
  event["binary"] = run.binary_hash;
  return event;
}

}  // namespace loglog::train
