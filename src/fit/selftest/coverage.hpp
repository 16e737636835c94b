// Whether 95% intervals are: sweeps simulated from a known truth, fitted as a user would, and counted.
//
// What is required of whom: docs/fitting.md, Coverage. Rows are independent of each other and of the number of threads.
#pragma once
#include <functional>

#include "fit/selftest/trials.hpp"

namespace loglog::fit {

struct CoverageRow {
  std::string title;
  std::function<std::vector<Judgement>(const CoverageOptions&)> run;
};
const std::vector<CoverageRow>& coverage_rows();
// A row for each law, on the design of its self-test, and one of places too few for it.
std::vector<CoverageRow> law_coverage_rows();

}  // namespace loglog::fit
