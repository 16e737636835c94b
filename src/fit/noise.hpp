// How much the loss moves when nothing but the seed changes, as a share of the loss.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace loglog::fit {

struct SeedNoise {
  std::function<double(double N)> sigma;  // relative sd
  double degrees_of_freedom;              // infinite when the user gave it
  std::string method;
};

// A formula in N such as "0.007*(N/12000)^-0.4", or a number. UsageError for another variable or a value that
// is not positive at one of `sizes`.
SeedNoise given_noise(const std::string& formula, const std::vector<double>& sizes);

// From losses that share a cell (same budget, same N): sigma(N) = s N^-k by regression of ln s^2 on ln N,
// corrected for the bias of ln chi^2; constant when fewer than three sizes repeat or the sum of degrees of
// freedom is below 8. Nothing below 3 degrees of freedom.
struct Replicate {
  int cell;
  double N;
  double loss;
};
std::optional<SeedNoise> estimated_noise(const std::vector<Replicate>& replicates);

}  // namespace loglog::fit
