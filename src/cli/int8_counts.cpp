#include "cli/int8_counts.hpp"

#include <fmt/format.h>

#include "train/run_record.hpp"

namespace loglog::cli {

using train::number;

void add_counts(nlohmann::ordered_json& out, const quant::ProductCounts& counts) {
  if (counts.all == 0) return;
  out["int8_share"] = number(counts.int8_share());
  out["calibrated_share"] = number(counts.calibrated_share());
  out["run_time_outlier_share"] = number(counts.outlier_share());
  out["run_time_dimensions"] = counts.most_dimensions;
}

std::string counts_text(const quant::ProductCounts& counts) {
  if (counts.all == 0) return "";
  return fmt::format(
      "{:.3f}% of products in int8, {:.3f}% in float32 by calibration, {:.3f}% by outliers found at run "
      "time, in up to "
      "{} dimensions",
      100 * counts.int8_share(), 100 * counts.calibrated_share(), 100 * counts.outlier_share(),
      counts.most_dimensions);
}

}  // namespace loglog::cli
