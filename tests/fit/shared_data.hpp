// Published sweeps that some tests fit. They are not part of the project; where they are absent a test says so.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace loglog::testing {

// Path of fitdata/NAME, or an empty path after a visible line. LOGLOG_SHARED wins over ../shared.
inline std::filesystem::path shared_fitdata(const std::string& name) {
  const char* root = std::getenv("LOGLOG_SHARED");
  const std::filesystem::path path =
      std::filesystem::path(root != nullptr ? root : "../shared") / "fitdata" / name;
  if (std::filesystem::exists(path)) return path;
  std::printf("SKIPPED: %s absent\n", path.c_str());
  return {};
}

}  // namespace loglog::testing
