#include "quant/activations/zeroing_probe.hpp"

#include <algorithm>
#include <cstring>

#include "base/check.hpp"

namespace loglog::quant {

ZeroingProbe::ZeroingProbe(std::vector<std::string> sites, std::vector<Index> channels,
                           std::optional<Index> layer)
    : sites_(std::move(sites)), channels_(std::move(channels)), layer_(layer) {}

void ZeroingProbe::stream(kernels::ExecContext&, nn::Place place, tensor::MatrixView values) {
  zero(place, values);
}

void ZeroingProbe::input(kernels::ExecContext&, nn::Place place, const tensor::FloatView& values) {
  zero(place, values);
}

void ZeroingProbe::zero(nn::Place place, const tensor::FloatView& values) const {
  if (std::ranges::find(sites_, name_of(place.site)) == sites_.end()) return;
  if (layer_ && place.layer != *layer_) return;
  for (const Index j : channels_) {
    LOGLOG_CHECK(j >= 0 && j < values.cols, "channel {} of {}", j, values.cols);
    for (Index r = 0; r < values.rows; ++r)
      std::memset(values.from(r, j).data, 0, kernels::bytes_of(values.type));
  }
}

void ZeroingProbe::attention(kernels::ExecContext& ctx, Index layer, const nn::SeenAttention& seen) {
  if (!layer_ || layer == *layer_) focus_.add(ctx, layer, seen);
}

}  // namespace loglog::quant
