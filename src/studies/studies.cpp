#include "studies/studies.hpp"

#include <vector>

#include "base/error.hpp"

namespace loglog::studies {

std::span<const Study> studies() {
  static const std::vector<Study> all = {chinchilla_study(), int8_study(), kaplan_study(), outliers_study()};
  return all;
}

const Study& find_study(std::string_view name) {
  return find_named("study", name, studies(), &Study::name);
}

Manifest manifest_of(const Study& study, const Path& file) {
  Manifest m = file.empty() ? Manifest::of_study(study.name) : Manifest::read(study.name, file);
  m.require(study.allowed(m));
  return m;
}

}  // namespace loglog::studies
