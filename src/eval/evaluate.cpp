#include "eval/evaluate.hpp"

#include <algorithm>
#include <limits>

#include "base/check.hpp"

namespace loglog::eval {

std::optional<Evaluation> evaluate(kernels::ExecContext& ctx, model::Gpt& gpt,
                                   const data::FixedSample& sample, const std::vector<data::Source>& sources,
                                   const PassBuffers& buffers, const Stop& stop, const OnWindow& on_window,
                                   nn::Probe* probe) {
  const auto context = static_cast<std::size_t>(gpt.config().context);
  const auto batch = static_cast<std::uint64_t>(gpt.shape().batch);
  const std::span<data::Token> inputs = buffers.inputs, targets = buffers.targets;
  const std::span<float> losses = buffers.losses;
  LOGLOG_CHECK(inputs.size() >= batch * context && targets.size() >= batch * context &&
                   losses.size() >= batch * context,
               "room for {} inputs, {} targets and {} losses, a pass has {}", inputs.size(), targets.size(),
               losses.size(), batch * context);
  Evaluation result;
  for (const data::Source& source : sources) result.sources.push_back({source.name, 0, 0.0});
  for (std::uint64_t first = 0; first < sample.windows(); first += batch) {
    if (stop && stop()) return std::nullopt;
    const std::uint64_t count = std::min(batch, sample.windows() - first);
    sample.fill(first, inputs.first(count * context), targets.first(count * context));
    const nn::Documents documents = buffers.documents != nullptr
                                        ? buffers.documents->find(inputs.first(count * context))
                                        : nn::Documents();
    gpt.forward(ctx, static_cast<model::Index>(count), inputs.data(), targets.data(), losses.data(),
                documents, probe);
    for (std::uint64_t w = 0; w < count; ++w) {
      const std::span<const float> window = losses.subspan(w * context, context);
      const std::span<const data::Token> wanted = targets.subspan(w * context, context);
      double sum = 0;
      for (const float loss : window) sum += loss;
      SourceLoss& source = result.sources[sample.source(first + w)];
      source.loss += sum;
      const auto ignored = std::ranges::count(wanted, data::kIgnoredTarget);
      const std::uint64_t counted = context - static_cast<std::uint64_t>(ignored);
      source.tokens += counted;
      result.loss += sum;
      result.tokens += counted;
      if (on_window) on_window(first + w, window, wanted);
    }
  }
  result.loss /= static_cast<double>(result.tokens);
  for (SourceLoss& source : result.sources) {
    source.loss = source.tokens == 0 ? std::numeric_limits<double>::quiet_NaN()
                                     : source.loss / static_cast<double>(source.tokens);
  }
  return result;
}

}  // namespace loglog::eval
