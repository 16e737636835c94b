// What the residuals of a fit say against it.
#pragma once
#include <optional>
#include <span>

#include "fit/objective.hpp"
#include "fit/runs.hpp"

namespace loglog::fit {

// Do the residuals bend? They are regressed on powers up to the fourth and products of the logs of the variables, after what the law's own slopes take up
// of these: one step towards a richer law, tested by F (a score test; Ramsey 1969, White 1982). Slopes of the Huber loss stand for residuals, so
// that one diverged run is no bend; rows of one run are averaged first.
struct LackOfFit {
  double F = 0;
  int terms = 0, degrees = 0;
  double p = 1;  // chance of such an F where the law holds
  bool found() const { return p < 0.05; }
};
// At the minimum `best`. Nothing where too few rows are left to tell, or there is no residual to speak of.
std::optional<LackOfFit> lack_of_fit(const Points& points, const Runs& runs, Huber huber, const Vector& best);

// Correlation of the residuals of neighbouring rows which share the value of one variable while another grows, as checkpoints of one run do.
struct NeighbourCorrelation {
  double value = 0;
  int pairs = 0;
  bool found() const;  // rows are not independent
};
NeighbourCorrelation neighbour_correlation(const Points& points, Huber huber, const Vector& best);

}  // namespace loglog::fit
