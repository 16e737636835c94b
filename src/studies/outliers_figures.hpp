// Pictures of outliers: of one model, and of many.
#pragma once
#include <string>
#include <vector>

#include "eval/outlier_measures.hpp"
#include "report/plot.hpp"

namespace loglog::studies {

// Heat map of layers and channels: the RMS of each over the median of its hidden state. `sites` are those that are shown.
report::Figure outlier_map(const std::string& subject, const quant::ActivationSums& sums,
                           const std::vector<std::string>& sites);

// What is drawn of rungs: a measure against the loss or, of one run, against steps.
struct CurveOf {
  std::string name, title, label;
  double eval::OutlierRung::*measure;
  bool by_step = false;
};
// A colour for each size; the rungs of a run are joined by a line.
report::Figure outlier_curves(const CurveOf& what, const std::vector<std::vector<eval::OutlierRung>>& runs);

}  // namespace loglog::studies
