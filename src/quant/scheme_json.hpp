// A plan as quantization.json holds it.
#pragma once
#include <nlohmann/json.hpp>

#include "base/flat_json.hpp"
#include "quant/scheme.hpp"

namespace loglog::quant {

// All that a product has to know, so that a scheme whose numbers were changed by options comes back as it was.
nlohmann::ordered_json to_json(const Scheme& scheme);

// From {"scheme": {...}, "table": ...}. InputError naming key and value.
Plan plan_from_json(const FlatJson& json, const std::string& file);

}  // namespace loglog::quant
