// What a fit hands back: numbers with intervals, how they were reached, and what is wrong with them in words.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fit/intervals.hpp"
#include "fit/runs.hpp"
#include "fit/solve.hpp"

namespace loglog::fit {

inline constexpr double kConfidence = 0.95;
inline constexpr double kNoInterval = std::numeric_limits<double>::quiet_NaN();

struct Interval {
  std::string name;
  double value = 0;
  double low = 0;  // NaN when no interval was asked for or none can be given
  double high = 0;
};

// The loss that a law expects somewhere.
struct Prediction {
  std::vector<double> at;  // the law's variables
  Interval loss;           // of the law there
  Interval new_run;        // of one run there
};

// One budget of an IsoFLOP design, or one point of an envelope.
struct Budget {
  double C = 0;
  int points = 0;
  int sizes = 0;
  bool used = false;
  std::string reason;  // why not, when not used
  double N_opt = 0;
  double D_opt = 0;
  double loss = 0;      // at the minimum
  double se_log_N = 0;  // sampling sd of ln N_opt
  std::vector<double>
      parabola;  // loss = p0 + p1 u + p2 u^2 with u = ln N - p3; empty for other interpolations
};

// One line of the reporting checklist (fit/choice/checklist.hpp).
struct ChecklistItem {
  std::string block, name, answer;
  bool stated = true;  // false: what the answer says is missing
};

struct FitResult {
  std::string law;
  std::string formula;
  int n = 0;
  std::vector<Interval> params;
  std::vector<Interval> optimum;
  double objective = 0;
  std::string objective_kind;
  double delta = 0;
  Certificate certificate;
  bool identified = true;        // the data determine the parameters; a warning says why not
  bool has_certificate = false;  // approaches 1 and 2 are linear regressions and need none
  std::string interval_method;
  double interval_t = kNoInterval;  // approaches 1 and 2: the t behind every interval here
  std::uint64_t seed = 0;
  std::vector<Budget> budgets;  // approaches 1 and 2
  std::vector<Exclusion> excluded;
  std::vector<std::string> warnings;
  std::vector<std::string> notices;

  // Approach 3, for curves and bands: theta in the units of the data, and the interval of any number of it (null: none was asked for, or
  // there is none).
  Vector theta{};
  std::shared_ptr<const Intervals> intervals;
  std::vector<std::string> variables;
  std::vector<Prediction> predictions;
  std::vector<double> residuals;         // ln predicted - ln observed, in the order of the rows used
  std::vector<int> rows;                 // their indices in the table
  std::vector<ChecklistItem> checklist;  // of a procedure's result
};

// The shape that scripts rely on: law, n, params{name:{value,lo,hi}}, objective{value,kind}, identified,
// certificate, warnings, optimum, then what is particular. Numbers that do not exist are null.
nlohmann::ordered_json to_json(const FitResult& result);
std::string to_text(const FitResult& result);  // the same as a table for people
std::string checklist_text(const FitResult& result);

}  // namespace loglog::fit
