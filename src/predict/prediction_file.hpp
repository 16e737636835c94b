// Predictions as JSON lines: first what they rest on, then one line for each run. Fields: docs/formats.md.
#pragma once
#include <string>
#include <string_view>

#include "predict/prediction.hpp"

namespace loglog::predict {

std::string to_jsonl(const PredictionSet& set);

// InputError with `name` and the line.
PredictionSet read_predictions(std::string_view text, std::string_view name);

}  // namespace loglog::predict
