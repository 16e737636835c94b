// Whether this program still finds what is known: noise-free points of every law and procedure, and a sweep that
// nothing can be learned from.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "fit/procedure.hpp"

namespace loglog::fit {

struct SelfCheck {
  std::string name;
  bool passed = false;
  std::string detail;
};

// One check per entry of procedures() (its parameters come back to 1e-6), then the degenerate sweeps. No check
// throws: what a fit throws is a failed check with its message.
std::vector<SelfCheck> selftest();

// The check behind it: `procedure` on noise-free points whose parameters and exponents are `truth`, by name.
SelfCheck check_recovery(const Procedure& procedure, const Table& points, const std::vector<Interval>& truth);

// The places at which a law is asked, and its parameters there: of one variable 60 places in five decades, else a lattice.
struct LawDesign {
  const Law* law = nullptr;
  Vector theta{};                            // uncentred
  std::vector<std::vector<double>> columns;  // one per variable
  std::vector<double> loss;                  // without noise
  std::vector<Interval> truth;               // of what the user sees of the law, values only
};
// Nothing for a law without an entry.
std::optional<LawDesign> stated_design(const Law& law);

}  // namespace loglog::fit
