#include "train/noise_scale.hpp"

#include "base/check.hpp"

namespace loglog::train {

void NoiseScale::add(double small_norm, double small_tokens, double big_norm, double big_tokens) {
  LOGLOG_CHECK(0 < small_tokens && small_tokens < big_tokens, "{} of {} tokens", small_tokens, big_tokens);
  constexpr double kKeep = 0.99;  // about the last hundred steps
  const double small = small_norm * small_norm, big = big_norm * big_norm;
  const double signal = (big_tokens * big - small_tokens * small) / (big_tokens - small_tokens);
  const double noise = (small - big) / (1 / small_tokens - 1 / big_tokens);
  sums_.signal = kKeep * sums_.signal + signal;
  sums_.noise = kKeep * sums_.noise + noise;
  sums_.weight = kKeep * sums_.weight + 1;
}

std::optional<double> NoiseScale::tokens() const {
  if (sums_.weight == 0 || !(sums_.signal > 0)) return std::nullopt;
  return sums_.noise / sums_.signal;
}

}  // namespace loglog::train
