// From what the fitter hands back to what the page shows.
#pragma once
#include <span>

#include "fit/procedure.hpp"
#include "report/sweep_report.hpp"

namespace loglog::report {

// `runs`: all runs that the fit may have used; they give the range of C for the frontier.
LawFit law_fit(const fit::Procedure& procedure, const fit::FitResult& result,
               std::span<const ReportRun> runs);

}  // namespace loglog::report
