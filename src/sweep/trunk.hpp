// Runs that share work: of those that differ in their tokens alone, the longest is the trunk, and each of the others is forked from it where its
// own decay begins (warm-up, stable, decay: Hu et al. 2024; Hägele et al. 2024). A cooldown has the bits of a run that had been alone.
#pragma once
#include "sweep/grid.hpp"

namespace loglog::sweep {

// Cells of one family become the longest of them and its forks, trunks before forks. A fork takes batch, rates and seed from its trunk: rules
// in D see the trunk's. UsageError where the schedule is not wsd, or where a decay would begin within the trunk's warm-up.
void share_trunks(std::vector<Cell>& cells);

// FLOPs that a cell costs beside its trunk's.
double own_flops(const Cell& cell);

}  // namespace loglog::sweep
