// Runs that a study trains to fit laws to them, and what its page shows of such fits.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "fit/choice/disagreement.hpp"
#include "fit/result.hpp"
#include "fit/table.hpp"
#include "studies/study.hpp"

namespace loglog::studies {

// Trains a sweep of configs/studies, or an arm of it, and gives its runs as the table that fits read (predict/store_table.hpp). A further column,
// best_loss, has the least validation loss of all evaluations of a run: what early stopping would have kept. Nothing when a signal came.
std::optional<fit::Table> trained_runs(const Workplace& w, const std::string& sweep,
                                       const std::string& arm = "", const Path& data = {});

// "rows: 24 runs of 10 sizes, 8.6e13 FLOPs, of which 1 diverged".
std::string runs_fact(const std::string& name, const fit::Table& runs);

// A law fitted to runs with these losses, by descent from where it was, or else from
// everywhere: what a resample takes. NaNs where that does not converge.
fit::Vector refitted(const fit::Law& law, const fit::Runs& runs, const fit::FitResult& fit,
                     const std::vector<double>& losses, const std::vector<double>& weight);

// Losses made anew: those of the law times normal noise of the residuals' size.
std::vector<double> losses_anew(const fit::Runs& runs, const fit::FitResult& fit, std::uint64_t seed,
                                std::uint64_t resample);
double residual_sd(const fit::FitResult& fit, int parameters);  // of ln loss

// Best size, tokens and loss of each budget, and why a budget has none.
Table budget_table(const std::string& title, const fit::FitResult& isoflop);
// Loss over N, a colour for each budget, with the parabolas of approach 2.
report::Figure isoflop_figure(const std::string& name, const std::string& title, const fit::Runs& runs,
                              const fit::FitResult& isoflop);

}  // namespace loglog::studies
