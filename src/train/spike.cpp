#include "train/spike.hpp"

#include <cmath>

#include "base/stats.hpp"

namespace loglog::train {

bool SpikeDetector::is_spike(double loss) const {
  if (threshold_ <= 0) return false;
  if (!std::isfinite(loss)) return true;
  if (recent_.size() < kFewest) return false;
  constexpr double kNormal = 1.4826;  // the median absolute deviation of a normal distribution is sd / 1.4826
  const double middle = median(recent_);
  std::vector<double> distances;
  for (const double recent : recent_) distances.push_back(std::abs(recent - middle));
  return loss > middle + threshold_ * kNormal * median(distances);
}

void SpikeDetector::add(double loss) {
  if (recent_.size() == kWindow) recent_.erase(recent_.begin());
  recent_.push_back(loss);
}

}  // namespace loglog::train
