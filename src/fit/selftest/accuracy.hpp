// What this fitter must find on published sweeps: the numbers of their own authors, or the optimum of the objective that they state.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/file.hpp"

namespace loglog::fit {

struct Requirement {
  std::string what;      // "F", "alpha"
  std::string required;  // in words: "at most 1.018275e-03"
  double got = 0;
  bool passed = false;
};

struct AccuracyCheck {
  std::string id, title;  // "P1", what is fitted how
  std::string file;       // within the folder of data; empty: it makes its own
  std::function<std::vector<Requirement>(const Path& file)> run;
};
const std::vector<AccuracyCheck>& accuracy_checks();

// Its requirements; one that fails with the message where the check throws.
std::vector<Requirement> run_check(const AccuracyCheck& check, const Path& folder);

}  // namespace loglog::fit
