#include "cli/int8_counts.hpp"

#include <fmt/format.h>

#include "train/run_record.hpp"

namespace loglog::cli {

using train::number;

void add_counts(nlohmann::ordered_json& out, const quant::InputCounts& counts) {
  if (counts.elements == 0) return;
  out["int8_share"] = number(counts.int8_share());
  out["calibrated_share"] = number(counts.calibrated / counts.elements);
  out["run_time_outlier_share"] = number(counts.outliers / counts.elements);
  out["run_time_dimensions"] = counts.most_dimensions;
}

std::string counts_text(const quant::InputCounts& counts) {
  if (counts.elements == 0) return "";
  return fmt::format(
      "{:.3f}% of products in int8, {:.3f}% in float32 by calibration, {:.3f}% by outliers found at run "
      "time, in up to "
      "{} dimensions",
      100 * counts.int8_share(), 100 * counts.calibrated / counts.elements,
      100 * counts.outliers / counts.elements, counts.most_dimensions);
}

}  // namespace loglog::cli
