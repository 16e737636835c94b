// How the answers about compute show numbers: JSON and text of one form.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "fit/allocation/fitted_law.hpp"

namespace loglog::fit {

nlohmann::ordered_json number_json(double value);  // null where there is none
nlohmann::ordered_json interval_json(const Interval& interval);
std::string interval_text(const Interval& interval);  // a line
// "1.23 [1.1, 1.4] times the compute"; "more than any compute" where the factor is infinite.
std::string factor_text(const Interval& factor, const std::string& unit);

// What every answer starts with: the law, how many runs, whether it is identified, how intervals were made.
nlohmann::ordered_json header_json(const FittedLaw& fitted);
std::string header_text(const FittedLaw& fitted);

}  // namespace loglog::fit
