// Which factor of a rule's learning rate is best, from runs of several sizes.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace loglog::night {

struct TriedRate {
  std::string size;
  double rate;                 // factor of the rule's
  std::optional<double> loss;  // nothing where it diverged or failed
};

struct BestRate {
  std::optional<double> rate;            // none where no factor trained every size
  bool at_end = false;                   // it is the least or the largest that trained every size
  bool is_low = false, is_high = false;  // at which end of all that were tried
};

// The vertex of a parabola through the best factor and its neighbours: mean of ln loss over the sizes, against ln rate. At an end the best
// factor itself.
BestRate best_rate(const std::vector<TriedRate>& tried);

// The factor to try next, where the best is at an end and not too many were tried; `rates` are those that were, ascending.
std::optional<double> next_rate(const BestRate& best, const std::vector<double>& rates);

// Of a run of a sweep with [vary] rate: "l1w8-C1e9-rate0.5-s1".
double rate_of_name(std::string_view name);

}  // namespace loglog::night
