#include "quant/activations/activation_dump.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "io/safetensors.hpp"
#include "nn/probe.hpp"

namespace loglog::quant {

std::string dump_name(const Spot& spot) {
  return spot.site.starts_with("head") ? spot.site : fmt::format("blocks.{}.{}", spot.layer, spot.site);
}

Spot spot_of(std::string_view name, Index otherwise) {
  constexpr std::string_view kBlocks = "blocks.";
  Spot given{"given", otherwise};
  if (!name.starts_with(kBlocks)) return given;
  Index layer = 0;
  const char* const end = name.data() + name.size();
  const auto [next, error] = std::from_chars(name.data() + kBlocks.size(), end, layer);
  if (error != std::errc() || next == end || *next != '.' || layer < 0) return given;
  const std::string_view site(next + 1, static_cast<std::size_t>(end - next - 1));
  return std::ranges::find(nn::kSiteNames, site) == std::end(nn::kSiteNames) ? given
                                                                             : Spot{std::string(site), layer};
}

void ActivationDump::add(const Spot& spot, kernels::ConstMatrixRef values, std::uint64_t first, int) {
  Kept& kept = kept_[spot];
  kept.width = values.cols;
  kept.values.reserve(static_cast<std::size_t>(most_) * static_cast<std::size_t>(values.cols));
  for (Index r = 0; r < values.rows && first + static_cast<std::uint64_t>(r) < most_; ++r) {
    const float* const row = values.data + r * values.row_stride;
    kept.values.insert(kept.values.end(), row, row + values.cols);
  }
}

std::uint64_t ActivationDump::rows() const {
  if (kept_.empty()) return 0;
  const Kept& kept = kept_.begin()->second;
  return kept.values.size() / static_cast<std::size_t>(kept.width);
}

void ActivationDump::write(FileSystem& fs, const Path& path,
                           const std::vector<std::pair<std::string, std::string>>& metadata) const {
  std::vector<io::TensorValues> tensors;
  for (const auto& [spot, kept] : kept_) {
    const auto width = static_cast<std::uint64_t>(kept.width);
    tensors.push_back({dump_name(spot), {kept.values.size() / width, width}, kept.values});
  }
  io::write_safetensors(fs, path, tensors, metadata);
}

}  // namespace loglog::quant
