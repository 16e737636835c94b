// Whether two numbers rise together, whatever the form of their relation: correlations of ranks.
//
// Source: Spearman 1904; the partial one is that of the ranks, (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2) (1 - r_yz^2)).
#pragma once
#include <span>
#include <vector>

namespace loglog {

// 1 for the smallest; equal numbers share the mean of their ranks.
std::vector<double> ranks_of(std::span<const double> x);

// NaN for fewer than two numbers, or where all of one are equal.
double spearman(std::span<const double> x, std::span<const double> y);
// Of x and y with the influence of z taken out; NaN also where one of them is z's own order.
double partial_spearman(std::span<const double> x, std::span<const double> y, std::span<const double> z);

}  // namespace loglog
