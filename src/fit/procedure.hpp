// Everything `--law` may name: the laws of law.hpp fitted by approach 3, and the procedures that are no single law.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fit/law.hpp"
#include "fit/result.hpp"
#include "fit/table.hpp"

namespace loglog::fit {

struct ProcedureOptions {
  int drop_highest = 0;
  std::optional<double> delta;      // approach 3; empty: from the residuals
  std::string objective = "huber";  // approach 3: or lad, lsq, quantile:TAU
  bool raw = false;                 // approach 3: residuals of the loss, not of ln loss
  std::string starts = "grid";      // approach 3: or hoffmann
  int bootstrap = 400;
  std::uint64_t seed = 1;
  int threads = 1;
  std::string interval = "auto";                      // approach 3: a name of kIntervalKinds
  std::vector<std::map<std::string, double>> places;  // approach 3: where to predict the loss
  std::string interpolation = "parabola";             // approach 2: parabola or akima
  int sides = 2;                                      // approach 2: sizes on each side of a minimum
  std::string
      sigma;  // approach 2: relative seed noise as a formula in N; empty: from repeated seeds, else residuals
  double within = 0.01;  // step-law: runs within this share of the best loss of their cell
};

struct Procedure {
  std::string name;
  std::string formula;
  std::string source;
  std::vector<std::string> variables;
  std::string response;                   // the column that is fitted
  std::vector<std::string_view> options;  // that shape its result, of those not common to all
  std::function<FitResult(const Table&, const ProcedureOptions&)> run;
};

const std::vector<Procedure>& procedures();
const Procedure& find_procedure(std::string_view name);  // UsageError with the nearest name
// Approach 3 with any law; what it gives refers to the law as long as there is a copy of the procedure.
Procedure surface_procedure(std::shared_ptr<const Law> law);

}  // namespace loglog::fit
