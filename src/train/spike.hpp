// Notices a jump of the training loss. What follows is PaLM's remedy (Chowdhery et al. 2022, section 5.1): go back to a state
// some steps before, and go on with other data, since the same parameters on other data and the same data on other
// parameters did not jump again.
#pragma once
#include <vector>

namespace loglog::train {

class SpikeDetector {
 public:
  static constexpr std::size_t kWindow = 64;  // losses that it remembers
  static constexpr std::size_t kFewest = 16;  // and that it needs before it judges

  // `threshold` in robust standard deviations; 0 finds no spikes. `recent`: what an earlier one remembered.
  explicit SpikeDetector(double threshold, std::vector<double> recent = {})
      : threshold_(threshold), recent_(std::move(recent)) {}

  // Above median + threshold x 1.4826 x (median absolute deviation) of the recent losses, or not finite.
  bool is_spike(double loss) const;
  void add(double loss);  // one that is none
  const std::vector<double>& recent() const { return recent_; }

 private:
  double threshold_;
  std::vector<double> recent_;  // oldest first
};

}  // namespace loglog::train
