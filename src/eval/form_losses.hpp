// What a model loses on a text in one form or another.
#pragma once
#include <functional>
#include <optional>

#include "eval/paired_losses.hpp"
#include "eval/window_passes.hpp"

namespace loglog::eval {

struct FormLosses {
  double loss = 0;               // nats per token
  ClusteredMean clusters;        // of text, as Clusters has them
  quant::ProductCounts counts;   // of all weights together
  std::size_t weight_bytes = 0;  // of the model
};

// The losses of a running model, whose shape is WindowPasses::shape. Nothing when `stop` asked to break off. `on_window` is told how
// many windows are done.
std::optional<FormLosses> form_losses(quant::RunningModel& model, const WindowedText& text, const Stop& stop,
                                      const std::function<void(std::uint64_t)>& on_window = {},
                                      nn::Probe* probe = nullptr);

}  // namespace loglog::eval
