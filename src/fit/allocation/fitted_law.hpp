// A law with what was fitted: what every question about compute starts from.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fit/objective.hpp"
#include "fit/procedure.hpp"
#include "fit/profile.hpp"

namespace loglog::fit {

struct FittedLaw {
  std::shared_ptr<const Law> law;
  Runs runs;
  FitResult result;

  Points points() const { return Points(*law, runs.columns, runs.loss); }
  Vector centred(const Points& points) const { return law->form->centre(result.theta, points.centres()); }
  Huber huber() const { return {result.delta}; }
  // 95%, of a positive number, whose logarithm is what varies evenly; NaN where the fit has no intervals.
  Interval interval_of_positive(const Quantity& quantity) const;
};

// A law of the list. UsageError for its name and for the options, InputError for the rows.
std::shared_ptr<const Law> law_named(const std::string& name);
FittedLaw fit_law(const std::shared_ptr<const Law>& law, const Table& table, const ProcedureOptions& options);

// The theta at which the law's parameters have these values: as many as the law has. UsageError names what is missing or unknown.
Vector theta_of(const Law& law, const std::map<std::string, double>& constants);

}  // namespace loglog::fit
