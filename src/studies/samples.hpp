// Samples of a measure where its sampling distribution is known by formula, or was drawn elsewhere.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "studies/verdict.hpp"

namespace loglog::studies {

// Enough for 1% over the claims and measures of the studies that use it (verdict.hpp): above 3,000.
inline constexpr std::size_t kSamples = 5000;

// Equally likely values of center + scale t, t Student's of these degrees of freedom.
std::vector<double> student_samples(double center, double scale, double degrees,
                                    std::size_t count = kSamples);

// Where the truth may lie, from what was found, `value`, and what the same procedure found on data made anew, `drawn`: the basic bootstrap
// (Davison and Hinkley 1997, section 5.2) around the middle of what was drawn, made wider by t over the normal quantile, so that 95% intervals are
// those of Student's t. NaNs of `drawn` become the share `undefined` of the measure.
void set_samples(Measure& measure, double value, std::span<const double> drawn, double t);

// Mean of differences between two arms, pair by pair, with Student's t: needs two pairs.
Measure mean_of_pairs(std::string name, std::span<const double> differences);

}  // namespace loglog::studies
