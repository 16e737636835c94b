// The text that a model is run on: which tokens, cut into which windows, and passes over them.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "cli/loaded_model.hpp"
#include "eval/window_passes.hpp"

namespace loglog::cli {

// What every verb takes that runs a model on a token file.
struct DataArguments {
  std::string path;  // empty: that of the run
  std::string split = "validation";
  std::optional<std::uint64_t> tokens;  // absent: as in training
};
std::vector<CLI::Option*> add_data_arguments(CLI::App& verb, DataArguments& arguments);

// Opened and checked against the model; cut into windows.
class ModelData : public eval::WindowedText {
 public:
  // UsageError when neither names a file, InputError when it is not one for this model.
  ModelData(const DataArguments& arguments, const ModelChoice& choice);
};

// A model in memory that goes over the windows of a text until a signal comes.
class ModelPasses {
 public:
  // `windows` per pass changes no bit of any result; 0: so many that products run at full speed. `choice` and `data` outlive this object.
  ModelPasses(const ModelChoice& choice, const ModelData& data, model::Index windows = 0)
      : ModelPasses(choice, choice.weights(), data, windows) {}
  // In this form, or with null in none, in place of the choice's own; and room for `cache_bytes` of the caller's.
  ModelPasses(const ModelChoice& choice, const quant::ModelForm* form, const ModelData& data,
              model::Index windows = 0, std::size_t cache_bytes = 0, MemoryLine line = MemoryLine::told);

  // Nothing when a signal came.
  std::optional<eval::Evaluation> run(const eval::OnWindow& on_window, nn::Probe* probe = nullptr);

  quant::RunningModel& model() { return *model_; }
  model::Gpt& gpt() { return model_->gpt(); }

 private:
  std::unique_ptr<quant::RunningModel> model_;
  eval::WindowPasses passes_;
};

}  // namespace loglog::cli
