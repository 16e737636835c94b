#include "quant/activations/activation_probe.hpp"

#include <algorithm>

#include "kernels/rowwise/convert.hpp"

namespace loglog::quant {

std::vector<std::string> probe_sites() {
  return {std::begin(nn::kSiteNames), std::end(nn::kSiteNames)};
}

ActivationProbe::ActivationProbe(std::vector<ActivationSink*> sinks, AttentionFocus* focus,
                                 std::vector<std::string> sites)
    : sinks_(std::move(sinks)), focus_(focus), sites_(std::move(sites)) {}

bool ActivationProbe::wants(nn::Site site) const {
  return sites_.empty() || std::ranges::find(sites_, name_of(site)) != sites_.end();
}

void ActivationProbe::give(nn::Place place, kernels::ConstMatrixRef values, int threads) {
  if (!wants(place.site)) return;
  const Spot spot{std::string(name_of(place.site)), place.layer};
  for (ActivationSink* sink : sinks_) sink->add(spot, values, first_, threads);
}

void ActivationProbe::stream(kernels::ExecContext& ctx, nn::Place place, tensor::MatrixView values) {
  give(place, values, ctx.threads);
}

void ActivationProbe::input(kernels::ExecContext& ctx, nn::Place place, const tensor::FloatView& values) {
  if (values.type == kernels::FloatType::float32) {
    give(place, values.as<float>(), ctx.threads);
  } else if (wants(place.site)) {
    widened_.resize(static_cast<std::size_t>(values.rows * values.cols));
    const kernels::MatrixRef wide(widened_.data(), values.rows, values.cols);
    kernels::convert(ctx, wide, values);
    give(place, wide, ctx.threads);
  }
  if (place.site != nn::Site::head) return;  // which every pass ends with
  for (ActivationSink* sink : sinks_) sink->end_rows(values.rows);
  first_ += static_cast<std::uint64_t>(values.rows);
}

void ActivationProbe::attention(kernels::ExecContext& ctx, Index layer, const nn::SeenAttention& seen) {
  if (focus_ != nullptr) focus_->add(ctx, layer, seen);
}

}  // namespace loglog::quant
