// Approach 2: at each compute budget the size of least loss, then power laws of that size and of the tokens in C.
//
// Losses at one budget are joined by a parabola in ln N (Hoffmann et al. 2022) or, on logarithms, by Akima's
// curve (Porian et al. 2024). A minimum counts only when enough sizes lie on each side; other budgets are
// dropped and said.
#pragma once
#include <string_view>

#include "fit/result.hpp"
#include "fit/runs.hpp"

namespace loglog::fit {

enum class Interpolation { parabola, akima };
Interpolation interpolation_named(std::string_view name);  // UsageError

struct IsoflopOptions {
  Interpolation interpolation = Interpolation::parabola;
  int sides = 2;      // distinct sizes needed on each side of the minimum
  std::string sigma;  // relative seed noise as a formula in N; empty: from repeats, else from residuals
  int bootstrap = 400;
  std::uint64_t seed = 1;
  int threads = 1;
};

// `runs` holds N, D, C. Budgets are rows of one `budget`, or without that column rows whose C differ by less than
// 5%. Intervals come from losses made anew with seed noise, or with pooled residuals of the parabolas where no
// noise is known; never from resampling the five points of a parabola, which loses budgets and triples the width.
// InputError when fewer than three budgets have a minimum.
FitResult fit_isoflop(const Runs& runs, const IsoflopOptions& options);

}  // namespace loglog::fit
