#include "cli/model_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numbers>

#include "base/error.hpp"
#include "cli/arguments.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"

namespace loglog::cli {
namespace {

data::TokenFile open_data(const DataArguments& a, const ModelChoice& choice) {
  const std::string& path = a.path.empty() ? choice.config().data.path : a.path;
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

std::vector<data::TokenRange> ranges_of(const DataArguments& a, const ModelChoice& choice,
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

// Windows per pass: enough that products run at full speed.
model::Index windows_per_pass(model::Index context) {
  constexpr model::Index kTokens = 4096;
  return std::max<model::Index>(1, kTokens / context);
}

model::BatchShape pass_shape(const ModelChoice& choice, model::Index windows) {
  const model::Index context = choice.config().model.context;
  return {windows > 0 ? windows : windows_per_pass(context), context,
          documents_of(choice) == data::Documents::apart};
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
    : file_(open_data(a, choice)),
      sample_(file_, ranges_of(a, choice, file_), choice.config().model.context,
              a.tokens.value_or(static_cast<std::uint64_t>(choice.config().eval.tokens)),
              documents_of(choice), choice.config().model.mutual_prefix()) {}

std::optional<double> ModelData::bits_per_byte(double loss) const {
  if (file_.bytes_per_token() <= 0) return std::nullopt;
  return loss / std::numbers::ln2 / file_.bytes_per_token();
}

ModelPasses::ModelPasses(const ModelChoice& choice, const quant::QuantizedWeights* weights,
                         const ModelData& data, model::Index windows, std::size_t cache_bytes,
                         MemoryLine line)
    : data_(data),
      shape_(pass_shape(choice, windows)),
      model_(choice, weights, shape_, cache_bytes, line),
      inputs_(static_cast<std::size_t>(shape_.rows())),
      targets_(inputs_.size()),
      losses_(inputs_.size()) {
  if (shape_.documents) documents_.emplace(*data.file().document_end(), shape_.time, shape_.batch);
}

std::optional<eval::Evaluation> ModelPasses::run(const eval::OnWindow& on_window, nn::Probe* probe) {
  kernels::ExecContext ctx = model_.context();
  return eval::evaluate(ctx, model_.gpt(), data_.sample(), data_.file().sources(),
                        {inputs_, targets_, losses_, documents_ ? &*documents_ : nullptr}, stop_requested,
                        on_window, probe);
}

}  // namespace loglog::cli
