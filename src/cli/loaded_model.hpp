// A trained model that a verb uses: opened, checked against the memory that there is, loaded.
#pragma once
#include <memory>
#include <string>

#include "cli/verb.hpp"
#include "data/text_codec.hpp"
#include "kernels/exec.hpp"
#include "model/open_model.hpp"
#include "quant/running_model.hpp"

namespace loglog::cli {

// How the model's tokens stand for text; null where that is not known. InputError when what is said of it is wrong.
std::unique_ptr<data::TextCodec> codec_of(const model::OpenedModel& model);

// For a verb that hands it on: InputError when the file that says so is damaged.
void require_codec(const model::OpenedModel& model);

// For a verb that only reads or writes the parameters: RefusedError when they do not fit into memory.
void require_room(const model::ModelConfig& m);

// As many threads as were asked for, one per usable core for 0, and no more than the runtime has.
int usable_threads_of(int wanted);

// What every verb that computes with it takes.
struct ModelArguments {
  std::string path;
  std::string precision;  // empty: as it was trained
  std::string quantized;  // scheme by which it is quantised as it is loaded; empty: it is taken as it is
  int threads = 0;        // 0: one per core
};
void add_model_arguments(CLI::App& verb, ModelArguments& arguments);

// A model of any kind that is on disk: a run, a model folder, a quantised model, or a folder of Hugging Face.
struct AnyModel {
  model::OpenedModel model;
  std::shared_ptr<const quant::QuantizedWeights> weights;  // of a quantised one
  std::vector<std::string> notices;
};
AnyModel open_any_model(const Path& path);

// UsageError when a quantised model or a folder of Hugging Face lies there, for a verb that needs the parameters themselves.
void require_float_model(const Path& path);
[[noreturn]] void refuse_quantized(const Path& path, const std::string& scheme);

// Reads the description of a model, and no tensor yet.
class ModelChoice {
 public:
  ModelChoice(const ModelArguments& arguments, const Environment& environment);

  const model::OpenedModel& opened() const { return any_.model; }
  const model::RunConfig& config() const { return any_.model.config; }
  // By which its linear layers are multiplied; null where they are float.
  const quant::QuantizedWeights* weights() const { return any_.weights.get(); }
  const kernels::KernelTable& table() const { return table_; }
  model::FloatType type() const { return type_; }
  int threads() const { return threads_; }
  quant::Setting setting() const { return {table_, threads_, type_}; }

  // The same of another model of its configuration.
  ModelChoice of(model::OpenedModel other) const;

  std::unique_ptr<data::TextCodec> codec() const { return codec_of(any_.model); }

 private:
  AnyModel any_;
  const kernels::KernelTable& table_;
  model::FloatType type_;
  int threads_;
};

// Whether the plan of a model's memory goes to standard error: of many models in turn it says little after the first.
enum class MemoryLine : bool { silent, told };

// The model in memory, for passes of the shape `passes`, in the choice's own form or, where `form` is given, in that one: null is float.
// `cache_bytes` is what the caller will take besides. RefusedError with the plan when memory does not suffice.
std::unique_ptr<quant::RunningModel> load_model(const ModelChoice& choice, model::BatchShape passes,
                                                std::size_t cache_bytes);
std::unique_ptr<quant::RunningModel> load_model(const ModelChoice& choice, const quant::ModelForm* form,
                                                model::BatchShape passes, std::size_t cache_bytes,
                                                MemoryLine line = MemoryLine::told);

}  // namespace loglog::cli
