#include "eval/form_losses.hpp"

#include <algorithm>

#include "eval/breakdown.hpp"

namespace loglog::eval {
std::optional<FormLosses> form_losses(quant::RunningModel& model, const WindowedText& text, const Stop& stop,
                                      const std::function<void(std::uint64_t)>& on_window, nn::Probe* probe) {
  FormLosses result;
  const Clusters clusters(text.sample());
  const auto add = [&](std::uint64_t w, std::span<const float> losses, std::span<const data::Token> wanted) {
    double sum = 0;
    for (const float loss : losses) sum += loss;
    const auto ignored = std::ranges::count(wanted, data::kIgnoredTarget);
    result.clusters.add(clusters.of(w), sum, wanted.size() - static_cast<std::uint64_t>(ignored));
    if (on_window) on_window(w + 1);
  };
  const auto evaluation = WindowPasses(model, text).run(stop, add, probe);
  if (!evaluation) return std::nullopt;
  result.loss = evaluation->loss;
  result.counts = model.counts();
  result.weight_bytes = model.weight_bytes();
  return result;
}

}  // namespace loglog::eval
