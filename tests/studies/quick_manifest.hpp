// The manifest that a study has, of its quick effort.
#pragma once
#include <string_view>

#include "studies/manifest.hpp"

namespace loglog::studies {

inline Manifest quick_manifest(std::string_view study) {
  Manifest m = Manifest::of_study(study);
  m.take_effort("quick");
  return m;
}

}  // namespace loglog::studies
