// Published sweeps that some tests fit. They are not part of the project; where they are absent a test says so.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>

#include "support/skip.hpp"

namespace loglog::testing {

// Path of fitdata/NAME; without it the test is skipped and the path empty. LOGLOG_SHARED wins over ../shared.
inline std::filesystem::path shared_fitdata(const std::string& name) {
  const char* root = std::getenv("LOGLOG_SHARED");
  std::filesystem::path path = std::filesystem::path(root != nullptr ? root : "../shared") / "fitdata" / name;
  if (std::filesystem::exists(path)) return path;
  skip(path.string() + " is absent");
  return {};
}

}  // namespace loglog::testing
