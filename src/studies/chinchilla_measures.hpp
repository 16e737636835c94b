// From the runs of the study `chinchilla` to the numbers that its claims are judged by.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "studies/law_arms.hpp"

namespace loglog::studies {

// Approach 3 on points of the source: N, D = C / 6N and loss, the five highest losses left out, in numbers of the replication (Besiroglu et al.
// 2024). What cannot be tested: no file.
struct Replay {
  struct Number {
    std::string name;
    double value, se;            // ours, by drawing the points again
    double published, their_se;  // theirs
  };
  int points = 0;
  std::vector<Number> numbers;  // E, alpha, beta
};
// Columns N, C and loss, or as the points are published: 'Model Size', 'Training FLOP', loss.
Replay replay_of(const Path& file, int resamples, const Workplace& w);
Finding replayed(Claim claim, const std::optional<Replay>& replay, const Manifest& m);

// The IsoFLOP rows by all approaches.
struct RowFits {
  fit::Runs runs;
  fit::ApproachSamples approaches;
  std::optional<fit::FitResult> isoflop, law;
  std::string refusal;  // why there is no law; of isoflop its own stands with the approaches
};
RowFits fit_rows(const fit::Table& table, const Manifest& m, const Workplace& w);

// a of each approach in the band, with the rival excluded; and each pair of them within a gap.
Finding exponents(Claim claim, const RowFits& rows, const Manifest& m);
Finding agreement(Claim claim, const RowFits& rows, const Manifest& m);

// The dearest row as the law of the cheaper ones foretells it.
struct Foretold {
  double loss = 0, N = 0;                   // foretold
  double seen_loss = 0, seen_N = 0;         // by the row's own parabola
  std::vector<double> loss_draws, N_draws;  // ln(foretold / seen), with losses made anew
  std::string refusal;
};
Foretold foretell(const RowFits& rows, const Manifest& m, const Workplace& w);
Finding extrapolated(Claim claim, const Foretold& f, const Manifest& m);

// Equal compute: ln(loss of the larger model / loss of the smaller), seed by seed.
struct Duel {
  double small_N = 0, large_N = 0, small_D = 0, large_D = 0,
         N_opt = 0;  // N_opt at this compute, NaN where the rows have none
  std::vector<double> gains;
};
Duel duel_of(const fit::Table& table, const RowFits& rows);
Finding won_by_smaller(Claim claim, const Duel& duel, const Manifest& m);

// Loss at a fixed length of the run, of each length of the schedule less that of length 1.
struct ScheduleCosts {
  struct Cost {
    double length, mean_loss, cost;  // nats
  };
  std::vector<Cost> costs;        // by length, 1 the first
  double seed_sd = 0;             // of one run, between seeds of one length
  double error = 0, degrees = 0;  // standard error of a cost: seeds and lengths taken out
  int seeds = 0;
  Measure of(double length, const std::string& name) const;  // in sd of the seeds
};
ScheduleCosts schedule_costs(const fit::Table& table);  // seeds that lack a length are left out
Finding horizon_hurts(Claim claim, const ScheduleCosts& costs, const Manifest& m);

// Sweeps of a known law and known noise, fitted.
Control planted_law(const Manifest& m, const Workplace& w);
// The rows with runs that were stopped before they cooled down: another N_opt. Nothing where the rows themselves have no N_opt.
std::optional<Control> truncated_runs(const fit::Table& cooled, const fit::Table& truncated,
                                      const Workplace& w);

}  // namespace loglog::studies
