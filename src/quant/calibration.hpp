// What a scheme learns from data before it quantises: the largest inputs of each dimension, and where they are outliers.
#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/config.hpp"
#include "nn/probe.hpp"
#include "quant/scheme.hpp"

namespace loglog::quant {

// Of the inputs (K) of one weight.
struct InputRange {
  std::vector<float> largest;        // max |x| of each dimension
  std::vector<std::uint64_t> above;  // positions at which |x| >= threshold
};

class Calibration {
 public:
  explicit Calibration(float threshold) : threshold_(threshold) {}

  // The inputs of a weight at some more positions. Error (exit 5), with how many, where some are not finite: nothing can be learned from
  // them. ContractError when they are more or fewer than before.
  void add(const std::string& weight, kernels::ConstMatrixRef x);

  float threshold() const { return threshold_; }
  std::uint64_t positions() const { return positions_; }  // that the weight with the most has seen
  // The dimensions that are outliers in at least so large a share of positions, and in one at least; ascending. Empty for a weight whose inputs were not seen.
  std::vector<Index> outliers(const std::string& weight, double share) const;
  // Empty likewise.
  std::span<const float> largest(const std::string& weight) const;

 private:
  struct Seen {
    InputRange range;
    std::uint64_t positions = 0;
  };
  float threshold_;
  std::uint64_t positions_ = 0;
  std::map<std::string, Seen> seen_;  // by weight
};

// Adds what the linear layers of a model take, in forward passes in float32 that it probes.
class CalibrationProbe final : public nn::Probe {
 public:
  CalibrationProbe(const model::ModelConfig& config, Calibration& into) : config_(config), into_(into) {}
  void input(kernels::ExecContext& ctx, nn::Place place, const tensor::FloatView& x) override;

 private:
  const model::ModelConfig& config_;
  Calibration& into_;
};

// The weight that takes the inputs of this site: "blocks.3.mlp.up.weight"; empty for the head's, whose weight is a table.
std::string weight_at(const model::ModelConfig& config, nn::Place place);

}  // namespace loglog::quant
