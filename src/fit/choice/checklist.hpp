// What a reader needs to be told of a fit, in the four blocks of Li et al. 2025 ("(Mis)Fitting: A Survey of Scaling Laws"): hypothesis, setup,
// data, fit. Answers come from the table, the options and the result; what none of them knows is said to be missing.
#pragma once
#include <string>
#include <vector>

#include "fit/procedure.hpp"

namespace loglog::fit {

// The questions with their answers. A new one is one entry of the list in checklist.cpp.
std::vector<ChecklistItem> checklist(const Table& table, const Procedure& procedure,
                                     const ProcedureOptions& options, const FitResult& result);

}  // namespace loglog::fit
