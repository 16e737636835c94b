// How many runs more make a number as sure as one wants it.
#pragma once
#include "fit/allocation/fitted_law.hpp"

namespace loglog::fit {

struct PowerQuestion {
  std::string quantity;  // of the law's parameters or its optimum: "a"
  double width = 0;      // that its interval shall have, from end to end
  double level = 0.8;    // of that interval
};

// With m runs like those that were fitted the interval is sqrt(n / m) times as wide, Student's t of its own degrees of freedom: sampling
// error falls, what is wrong with the law stays.
struct PowerAnswer {
  double now = 0;   // width at that level
  double runs = 0;  // in all, for the width that is asked for
  double flops =
      NAN;  // of the runs to come, at the mean cost of those there are; NaN where their C is unknown
};
// UsageError for a quantity that the law has not; InputError for a fit without intervals.
PowerAnswer runs_needed(const FittedLaw& fitted, const PowerQuestion& question);

nlohmann::ordered_json power_json(const FittedLaw& fitted, const PowerQuestion& question,
                                  const PowerAnswer& answer);
std::string power_text(const FittedLaw& fitted, const PowerQuestion& question, const PowerAnswer& answer);

}  // namespace loglog::fit
