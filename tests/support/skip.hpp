// A test that lacks what it needs (somebody else's data, a program) says so: its program then ends with 77, which
// ctest shows as skipped, never as passed.
#pragma once
#include <cstdio>
#include <string>

namespace loglog::testing {

inline bool skipped_something = false;

inline void skip(const std::string& why) {
  std::printf("SKIPPED: %s\n", why.c_str());
  skipped_something = true;
}

// What a test program returns after a session that ended with `status`, which counts failures and may be 77 too.
inline int exit_code_of(int status) {
  constexpr int kSkipped = 77;
  if (status != 0) return 1;
  return skipped_something ? kSkipped : 0;
}

}  // namespace loglog::testing
