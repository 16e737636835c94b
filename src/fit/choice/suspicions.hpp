// What a fit's table and residuals make one suspect: warnings in words, for those who would not have asked.
#pragma once
#include "fit/procedure.hpp"

namespace loglog::fit {

// Adds to result.warnings
//   runs that lie further from the law than noise explains, named: they may have diverged;
//   losses that were read before the end of their run (`progress` below 1) where no column `run` says which rows share one;
//   parameters whose profile likelihood does not close on a side: the data do not bound them there. Only where intervals were asked for, of
//   laws whose form is centred and that the runs identify.
void add_suspicions(const Law& law, const Table& table, const Runs& runs, const ProcedureOptions& options,
                    FitResult& result);

}  // namespace loglog::fit
