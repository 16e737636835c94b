// From the runs of the study `kaplan` to the numbers that its claims are judged by.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "fit/allocation/conversion.hpp"
#include "studies/law_arms.hpp"

namespace loglog::studies {

// A power law of one variable, fitted without its largest value, and what it says of that.
struct ForetoldEnd {
  std::string variable;  // "N", "D"
  std::optional<fit::FitResult> plain,
      with_floor;  // of all but the largest value; with_floor where it is identified
  double largest = 0, seen = 0, foretold = 0;  // of the law without a floor; seen: the mean of the runs there
  int runs_there = 0;
  double error = 0, degrees = 0;  // standard error of ln(foretold / seen), and its t
  double floor_gain = NAN;        // AICc of the law without a floor less that of the one with it, on all runs
  std::string refusal;
};
// Column `variable` of the table against `response`.
ForetoldEnd foretell_end(const fit::Table& table, const std::string& variable, const std::string& response);
// The largest value within the error, and alpha with its interval narrow enough.
Finding power_law(Claim claim, const ForetoldEnd& end, const Manifest& m);

// How much a limited text raises the loss of a model of N parameters (without embeddings) that is stopped early.
struct Overfit {
  struct Cell {
    double N, unique, loss, free_loss;  // free_loss: of text that is not repeated
    double rise() const { return loss / free_loss - 1; }
  };
  std::vector<Cell> cells;
  std::vector<Cell> used(double least_rise) const;
};
// ln(rise) as a parabola in ln(N^p / unique): p of least scatter, and how much of the variance it explains; samples: cells drawn again.
struct Collapse {
  Measure power, explained;
  int cells = 0;
};
Collapse collapse_of(const Overfit& overfit, const Manifest& m, std::uint64_t seed);
Finding collapsed(Claim claim, const Collapse& collapse, const Manifest& m);

// Exponents a of N_opt ~ C^a by approach 3: as the runs are (matrices and head, every FLOP), the same runs in Kaplan's count, and other runs under
// Kaplan's conditions in his count. Samples: losses made anew, one draw for both counts.
struct Accounting {
  double a = NAN, a_kaplan = NAN, a_conditions = NAN;
  std::vector<double> gap_draws, conditions_draws;  // of a_kaplan - a, a_conditions - a
  double t = 0;                                     // of 95% intervals
  std::string refusal, conditions_refusal;
};
Accounting accounting_of(const fit::Table& corrected, const fit::Table& conditions, const Manifest& m,
                         const Workplace& w);
Finding accounting_gap(Claim claim, const Accounting& a, const Manifest& m);
Finding conditions_gap(Claim claim, const Accounting& a, const Manifest& m);

// What the law of the corrected count says that Kaplan's count of the same models must find, vocabulary by vocabulary: before it is measured.
struct ForetoldGap {
  std::int64_t vocab;
  fit::Interval gap;
  std::string refusal;
};
std::vector<ForetoldGap> foretell_gaps(const fit::Table& corrected, const Workplace& w);

// Trained on the world `contexts`, whose facts occur as k^-(1 + alpha): loss less the world's own, `floor`, falls as D^-(alpha / (1 + alpha)).
Control planted_exponent(const fit::Table& runs, double floor, double alpha, const Manifest& m);
// Trained on a table of pairs (world `markov`, order 1): the loss is the floor at every size.
Control no_law(const fit::Table& runs, double floor, const Manifest& m);

}  // namespace loglog::studies
