#include "studies/studies.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace loglog::studies {

std::span<const Study> studies() {
  static const std::vector<Study> all = {int8_study()};
  return all;
}

const Study& find_study(std::string_view name) {
  const auto all = studies();
  const auto found = std::ranges::find(all, name, &Study::name);
  if (found != all.end()) return *found;
  std::vector<std::string_view> names;
  for (const Study& study : all) names.push_back(study.name);
  throw_unknown_name("study", name, names);
}

}  // namespace loglog::studies
