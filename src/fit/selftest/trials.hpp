// How often intervals hold the truth, and whether they are wider than they need be.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace loglog::fit {

struct CoverageOptions {
  int sweeps = 1000;  // simulated, of each row
  std::uint64_t seed = 1;
  int threads = 1;  // changes no bit of the result
};

// One line of the table.
struct Judgement {
  std::string what, required, got;
  bool passed = false;
};

// One sweep's estimate of a number, its 95% interval, and what it is an estimate of. An end that does not exist is NaN: the interval is open there;
// without both there is none, and it holds nothing.
struct Trial {
  double value = 0, low = 0, high = 0, truth = 0;
};
struct Band {
  double low, high;  // per cent
};
inline constexpr Band kExact = {93, 97}, kResampled = {92, 98}, kFewRuns = {91, 98}, kContaminated = {90, 98};

inline constexpr double kWidest = 1.25, kAnyWidth = 1e300;

// Coverage within the band and median width at most `widest` x 3.92 x the standard deviation of the error. Of fewer sweeps than 1000 the band is
// wider on both sides, and the width may be larger, by what their counts scatter more (three standard deviations).
Judgement judge(const std::string& what, std::span<const Trial> trials, Band band, double widest = kWidest);
// So many of the sweeps have it.
Judgement judge_share(const std::string& what, std::span<const char> has, double least_percent,
                      double most_percent);

}  // namespace loglog::fit
