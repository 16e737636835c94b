#include "train/evaluate.hpp"

#include <algorithm>
#include <limits>

#include "base/check.hpp"

namespace loglog::train {

std::optional<Evaluation> evaluate(kernels::ExecContext& ctx, model::Gpt& gpt,
                                   const data::FixedSample& sample, const std::vector<data::Source>& sources,
                                   const PassBuffers& buffers, const std::function<bool()>& stop) {
  const auto context = static_cast<std::size_t>(gpt.config().context);
  const auto batch = static_cast<std::uint64_t>(gpt.shape().batch);
  const auto [inputs, targets, losses] = buffers;
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
    gpt.forward(ctx, static_cast<model::Index>(count), inputs.data(), targets.data(), losses.data());
    for (std::uint64_t w = 0; w < count; ++w) {
      double sum = 0;
      for (const float loss : losses.subspan(w * context, context)) sum += loss;
      SourceLoss& source = result.sources[sample.source(first + w)];
      source.loss += sum;
      source.tokens += context;
      result.loss += sum;
      result.tokens += context;
    }
  }
  result.loss /= static_cast<double>(result.tokens);
  for (SourceLoss& source : result.sources) {
    source.loss = source.tokens == 0 ? std::numeric_limits<double>::quiet_NaN()
                                     : source.loss / static_cast<double>(source.tokens);
  }
  return result;
}

}  // namespace loglog::train
