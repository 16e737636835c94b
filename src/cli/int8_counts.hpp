// What the int8 products of a model that ran have seen, as the verbs that run one tell it.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "quant/quantized_weight.hpp"

namespace loglog::cli {

// Adds `int8_share`, `calibrated_share`, `run_time_outlier_share` and `run_time_dimensions`; nothing where there was no such product.
void add_counts(nlohmann::ordered_json& out, const quant::ProductCounts& counts);
// A line without its end; empty likewise.
std::string counts_text(const quant::ProductCounts& counts);

}  // namespace loglog::cli
