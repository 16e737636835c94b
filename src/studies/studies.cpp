#include "studies/studies.hpp"

#include <vector>

#include "base/error.hpp"

namespace loglog::studies {

std::span<const Study> studies() {
  static const std::vector<Study> all = {int8_study(), outliers_study()};
  return all;
}

const Study& find_study(std::string_view name) {
  return find_named("study", name, studies(), &Study::name);
}

}  // namespace loglog::studies
