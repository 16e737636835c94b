// Which rows a law is fitted to and which it has to predict.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "fit/law.hpp"
#include "fit/runs.hpp"

namespace loglog::fit {

struct Fold {
  std::string name;              // of what is predicted: "C >= 1e+21", "N = 1e+06", "run 4"
  std::vector<int> train, test;  // indices into the runs
};

// How rows are held out, as a user writes it:
//
//   C<1e21         fitted below, judged from there on
//   expanding[:C]  the cheapest scales are fitted and the next one is predicted, again and again
//   scale:N        each scale of N is predicted from all the others
//   run            each run from all the others
//   (empty)        the dearest quarter of the rows
//
// Scales are values of a column that lie within 5%; of more than twelve, neighbours are joined until twelve are left.
struct HoldoutPlan {
  enum class Kind { dearest, below, expanding, scale, run };
  Kind kind = Kind::dearest;
  std::string variable = {};  // empty: the cost
  double limit = 0;
  std::string in_words() const;
};
HoldoutPlan holdout_named(std::string_view text);  // UsageError says what can be written

// The columns that a plan needs of a table: `variables` and what it sorts by. The cost is C where the table has it, else N D, else the
// variable that spans the most decades.
std::vector<std::string> columns_for(const HoldoutPlan& plan, const Table& table,
                                     std::vector<std::string> variables);

// Folds with at least `fewest` rows to fit and one to predict. InputError where there is none, with what would be needed.
std::vector<Fold> make_folds(const Runs& runs, const HoldoutPlan& plan, int fewest);

// Some of the rows; runs are numbered anew.
Runs select_rows(const Runs& runs, const std::vector<int>& rows);
// The columns of the law alone, in its order.
Runs columns_of(const Runs& runs, const Law& law);

}  // namespace loglog::fit
