// How wide a number of a fitted law is: five ways to say it, one interface.
//
//   bootstrap   rows drawn again with replacement; whole runs where rows share one (Efron and Tibshirani 1993; Hesterberg 2015)
//   noise       losses made anew: those of the law times normal noise of the residuals' size, or of the size that is given
//   jackknife   each run left out once (Tukey 1958; Efron and Stein 1981)
//   profile     how far a number can be forced before the fit is significantly worse (fit/profile.hpp)
//   wald        value +- Student's t times its standard error (fit/wald.hpp)
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fit/bootstrap.hpp"
#include "fit/objective.hpp"
#include "fit/runs.hpp"

namespace loglog::fit {

// automatic: jackknife where rows share a run and there are too few runs to draw again, else bootstrap.
enum class IntervalKind { automatic, bootstrap, noise, jackknife, profile, wald };
inline constexpr std::string_view kIntervalKinds[] = {"auto",      "bootstrap", "noise",
                                                      "jackknife", "profile",   "wald"};
IntervalKind interval_kind_named(std::string_view name);  // UsageError

struct IntervalOptions {
  IntervalKind kind = IntervalKind::automatic;
  int resamples = 400;  // of bootstrap and noise
  std::uint64_t seed = 1;
  int threads = 1;  // changes no bit of the result
};

class Intervals {
 public:
  virtual ~Intervals() = default;
  // 95%, of any number of the uncentred theta; NaN where there is no end.
  virtual Ends of(const Quantity& quantity) const = 0;
  // Sampling standard deviation: of the samples where this kind has some, else what the ends say of a normal number.
  virtual double error_of(const Quantity& quantity) const;

  std::string method;                 // in words
  std::vector<std::string> warnings;  // what is wrong with them
};

// The expanded percentiles, by t, of what a number is for each of these uncentred thetas.
std::unique_ptr<Intervals> percentile_intervals(std::vector<Vector> samples, double t);

// Around the minimum `best` (centred) of `points`. Null where the rows give none, and why in `reason`.
std::unique_ptr<Intervals> make_intervals(const Points& points, const Runs& runs, Huber huber,
                                          const Vector& best, const IntervalOptions& options,
                                          std::string& reason);

}  // namespace loglog::fit
