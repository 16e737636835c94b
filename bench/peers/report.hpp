// A section as text and as JSON.
#pragma once
#include <nlohmann/json.hpp>

#include "bench/peers/sections.hpp"

namespace loglog::bench {

std::string text_of(const Section& section);
nlohmann::ordered_json json_of(const Section& section);

}  // namespace loglog::bench
