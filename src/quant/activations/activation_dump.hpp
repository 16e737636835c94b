// Hidden states of one site kept for other tools.
#pragma once
#include <map>
#include <vector>

#include "base/file.hpp"
#include "quant/activations/spot.hpp"

namespace loglog::quant {

// "blocks.3.qkv"; "head" and "head_stream" stand for themselves.
std::string dump_name(const Spot& spot);
// The site and block of such a name; site "given" and block `otherwise` for any other name.
Spot spot_of(std::string_view name, Index otherwise);

// Keeps every row that comes, up to `rows`.
class ActivationDump final : public ActivationSink {
 public:
  explicit ActivationDump(std::uint64_t rows) : most_(rows) {}
  void add(const Spot& spot, kernels::ConstMatrixRef values, std::uint64_t first, int threads) override;

  std::size_t spots() const { return kept_.size(); }
  std::uint64_t rows() const;
  // As safetensors in float32: one tensor (rows, channels) for each block. Errors are io::write_safetensors'.
  void write(FileSystem& fs, const Path& path,
             const std::vector<std::pair<std::string, std::string>>& metadata) const;

 private:
  struct Kept {
    Index width = 0;
    std::vector<float> values;
  };
  std::uint64_t most_;
  std::map<Spot, Kept> kept_;
};

}  // namespace loglog::quant
