#include "eval/window_passes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numbers>

#include "base/error.hpp"
#include "data/split.hpp"

namespace loglog::eval {

namespace {

data::TokenFile open_file(const Path& path, const model::RunConfig& config) {
  data::TokenFile file = data::TokenFile::open(path);
  const auto vocab = static_cast<std::uint64_t>(config.model.vocab);
  if (file.vocab_size() > vocab)
    throw InputError(fmt::format("'{}' has a vocabulary of {}, the model one of {}", path.native(),
                                 file.vocab_size(), vocab));
  return file;
}

std::vector<data::TokenRange> ranges_of(const data::TokenFile& file, const model::DataConfig& config,
                                        const std::string& split) {
  if (split == "all") {
    std::vector<data::TokenRange> ranges;
    for (std::size_t i = 0; i < file.sources().size(); ++i)
      ranges.push_back({file.sources()[i].begin, file.sources()[i].end, i});
    return ranges;
  }
  data::SplitRanges parts = data::make_split(file, config.split, config.val_share);
  return split == "train" ? std::move(parts.train) : std::move(parts.validation);
}

}  // namespace

WindowedText::WindowedText(const Path& file, const model::RunConfig& config, const std::string& split,
                           std::uint64_t tokens)
    : file_(open_file(file, config)),
      documents_apart_(data::documents_rule(config.data.documents) == data::Documents::apart),
      sample_(file_, ranges_of(file_, config.data, split), config.model.context, tokens,
              data::documents_rule(config.data.documents), config.model.mutual_prefix()) {}

std::optional<double> WindowedText::bits_per_byte(double loss) const {
  if (file_.bytes_per_token() <= 0) return std::nullopt;
  return loss / std::numbers::ln2 / file_.bytes_per_token();
}

model::BatchShape WindowPasses::shape(const model::ModelConfig& config, const WindowedText& text,
                                      model::Index windows) {
  constexpr model::Index kTokens = 4096;
  if (windows == 0) windows = std::max<model::Index>(1, kTokens / config.context);
  return {windows, config.context, text.documents_apart()};
}

WindowPasses::WindowPasses(quant::RunningModel& model, const WindowedText& text)
    : model_(model),
      text_(text),
      inputs_(static_cast<std::size_t>(model.gpt().shape().rows())),
      targets_(inputs_.size()),
      losses_(inputs_.size()) {
  const model::BatchShape shape = model.gpt().shape();
  if (shape.documents) documents_.emplace(*text.file().document_end(), shape.time, shape.batch);
}

std::optional<Evaluation> WindowPasses::run(const Stop& stop, const OnWindow& on_window, nn::Probe* probe) {
  kernels::ExecContext ctx = model_.context();
  return evaluate(ctx, model_.gpt(), text_.sample(), text_.file().sources(),
                  {inputs_, targets_, losses_, documents_ ? &*documents_ : nullptr}, stop, on_window, probe);
}

}  // namespace loglog::eval
