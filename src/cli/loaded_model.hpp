// A trained model that a verb uses: opened, checked against the memory that there is, loaded.
#pragma once
#include <memory>
#include <string>

#include "cli/verb.hpp"
#include "data/text_codec.hpp"
#include "kernels/exec.hpp"
#include "model/open_model.hpp"

namespace loglog::cli {

// How the model's tokens stand for text; null where that is not known. InputError when what is said of it is wrong.
std::unique_ptr<data::TextCodec> codec_of(const model::OpenedModel& model);

// For a verb that only reads or writes the parameters: RefusedError when they do not fit into memory.
void require_room(const model::ModelConfig& m);

// What every verb that computes with it takes.
struct ModelArguments {
  std::string path;
  std::string precision;  // empty: as it was trained
  int threads = 0;        // 0: one per core
};
void add_model_arguments(CLI::App& verb, ModelArguments& arguments);

// Reads the description of a model, and no tensor yet.
class ModelChoice {
 public:
  ModelChoice(const ModelArguments& arguments, const Environment& environment);

  const model::OpenedModel& opened() const { return opened_; }
  const model::RunConfig& config() const { return opened_.config; }
  const kernels::KernelTable& table() const { return table_; }
  model::FloatType type() const { return type_; }
  int threads() const { return threads_; }

  std::unique_ptr<data::TextCodec> codec() const { return codec_of(opened_); }

 private:
  model::OpenedModel opened_;
  const kernels::KernelTable& table_;
  model::FloatType type_;
  int threads_;
};

// The model in memory, for passes of the shape `passes`.
class LoadedModel {
 public:
  // `cache_bytes` is what the caller will take besides. RefusedError with the plan when memory does not suffice; the plan goes to
  // standard error.
  LoadedModel(const ModelChoice& choice, model::BatchShape passes, std::size_t cache_bytes);

  model::Gpt& gpt() { return *gpt_; }
  kernels::ExecContext context() { return {table_, threads_, scratch_}; }

 private:
  const kernels::KernelTable& table_;
  int threads_;
  std::unique_ptr<model::Gpt> gpt_;
  kernels::Scratch scratch_;
};

}  // namespace loglog::cli
