// Which of several laws predicts best, or that the runs do not tell.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fit/choice/holdout.hpp"

namespace loglog::fit {

struct ChooseOptions {
  HoldoutPlan plan = {};
  SurfaceOptions surface = {};  // of every fit; no intervals are needed
  int drop_highest = 0;
  int resamples = 400;  // 0: an order of the laws, and no verdict but undecided
  std::uint64_t seed = 1;
  int threads = 1;  // changes no bit of the result
};

// Mean squared held-out error of a law less that of the best one, with the interval of a paired bootstrap: runs are drawn again, both laws
// fitted anew to those of each fold and judged by the others. To draw held-out rows alone would take what all of them owe to one fit for
// evidence.
struct Comparison {
  double difference = 0, low = 0, high = 0;
  bool decided = false;  // worse than the best one beyond chance
};

struct CandidateLaw {
  std::string law, formula;
  int parameters = 0;
  std::string refusal;  // why it could not be fitted; it is not compared then
  bool identified = false;
  double log_rmse = 0;  // held out
  double aicc = 0;      // of all rows
  Comparison to_best;
  Holdout holdout;
};

struct Choice {
  std::string plan;
  int trained = 0, held_out = 0, held_out_runs = 0;  // trained: rows of the first fold
  std::vector<CandidateLaw> ranked;                  // by held-out error, refused ones last
  std::string winner;                                // empty: undecided
  std::vector<std::string> undecided;                // the best ones, where there is no winner
  std::string verdict;
  std::vector<std::string> warnings;
};

// Each law is fitted to the rows of each fold and judged by the rows that it has not seen. It wins only when the 95% interval of every
// other one's difference (Bonferroni's, and expanded: fit/bootstrap.hpp) lies above zero. UsageError for fewer than two laws or for laws of
// different columns, InputError where fewer than two can be fitted.
Choice choose(const Table& table, const std::vector<const Law*>& laws, const ChooseOptions& options);

// Akaike's criterion, corrected for few rows, for residuals of the density exp(-huber(r) / tau^2) / Z, tau its maximum-likelihood value and one
// parameter more: of normal noise for a large delta, of Laplace's for a small one. `objective` is F of n rows of mean weight 1. Comparable at
// one delta only; infinity where n is no more than `parameters` + 2.
double huber_aicc(double objective, double delta, int n, int parameters);

// Names of the laws that fit the columns of a table: forms of N and D where it has both, else power laws of C, N or D.
std::vector<std::string> default_laws(const Table& table);

// {holdout, trained, held_out, held_out_runs, laws: [{law, formula, parameters, log_rmse, aicc, aicc_above_least, identified, refused,
// to_best: {difference, lo, hi, decided}}], winner, undecided, verdict, warnings}
nlohmann::ordered_json to_json(const Choice& choice);
std::string to_text(const Choice& choice);

}  // namespace loglog::fit
