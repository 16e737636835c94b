#include "cli/model_data.hpp"

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/arguments.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"

namespace loglog::cli {
namespace {

const std::string& path_of(const DataArguments& a, const ModelChoice& choice) {
  const std::string& path = a.path.empty() ? choice.config().data.path : a.path;
  if (path.empty())
    throw UsageError("--data F.tok is missing: this model does not say what it was trained on");
  return path;
}

}  // namespace

std::vector<CLI::Option*> add_data_arguments(CLI::App& verb, DataArguments& a) {
  return {verb.add_option("--data", a.path, "token file; default: the one that the run was trained on")
              ->check(not_empty()),
          verb.add_option("--split", a.split, "validation, train or all; cut as the run's was")
              ->check(CLI::IsMember({"validation", "train", "all"}))
              ->capture_default_str(),
          verb.add_option("--tokens", a.tokens,
                          "at most so many targets, spread evenly; 0: all; default: the run's eval.tokens")
              ->check(whole_between(0, 1'000'000'000'000))};
}

ModelData::ModelData(const DataArguments& a, const ModelChoice& choice)
    : WindowedText(path_of(a, choice), choice.config(), a.split,
                   a.tokens.value_or(static_cast<std::uint64_t>(choice.config().eval.tokens))) {
  const nlohmann::json tokenizer = file().meta().value("tokenizer", nlohmann::json());
  const std::string& own = choice.opened().tokenizer;
  if (!own.empty() && !tokenizer.is_null() && nlohmann::json::parse(own, nullptr, false) != tokenizer)
    talk("loglog: note: '{}' was made with another tokenizer than the model's data\n", path_of(a, choice));
}

ModelPasses::ModelPasses(const ModelChoice& choice, const quant::ModelForm* form, const ModelData& data,
                         model::Index windows, std::size_t cache_bytes, MemoryLine line)
    : model_(load_model(choice, form, eval::WindowPasses::shape(choice.config().model, data, windows),
                        cache_bytes, line)),
      passes_(*model_, data) {}

std::optional<eval::Evaluation> ModelPasses::run(const eval::OnWindow& on_window, nn::Probe* probe) {
  return passes_.run(stop_requested, on_window, probe);
}

}  // namespace loglog::cli
