#include "eval/window_passes.hpp"

#include <algorithm>

namespace loglog::eval {

model::BatchShape WindowPasses::shape(const model::ModelConfig& config, const WindowedText& text,
                                      model::Index windows) {
  constexpr model::Index kTokens = 4096;
  if (windows == 0) windows = std::max<model::Index>(1, kTokens / config.context);
  return {windows, config.context, text.documents_apart};
}

WindowPasses::WindowPasses(quant::RunningModel& model, const WindowedText& text)
    : model_(model),
      text_(text),
      inputs_(static_cast<std::size_t>(model.gpt().shape().rows())),
      targets_(inputs_.size()),
      losses_(inputs_.size()) {
  const model::BatchShape shape = model.gpt().shape();
  if (shape.documents) documents_.emplace(*text.file.document_end(), shape.time, shape.batch);
}

std::optional<Evaluation> WindowPasses::run(const std::function<bool()>& stop, const OnWindow& on_window,
                                            nn::Probe* probe) {
  kernels::ExecContext ctx = model_.context();
  return evaluate(ctx, model_.gpt(), text_.sample, text_.file.sources(),
                  {inputs_, targets_, losses_, documents_ ? &*documents_ : nullptr}, stop, on_window, probe);
}

}  // namespace loglog::eval
