// Files that were damaged at random, the same for every run of a test.
#pragma once
#include <fstream>
#include <string>
#include <string_view>

#include "base/file.hpp"
#include "base/rng.hpp"

namespace loglog::testing {

// `good` with one to three bytes replaced, taken out or put in; half of the new ones are signs that mean something in JSON.
inline std::string changed_bytes(std::string good, std::uint64_t round) {
  constexpr std::string_view kSigns = "0123456789[]{}\",:-. eFn";
  const Rng rng(77, round);
  std::uint64_t drawn = 0;
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(rng.below(drawn++, n)); };
  for (std::size_t changes = 1 + below(3); changes > 0 && !good.empty(); --changes) {
    const std::size_t at = below(good.size());
    const char sign = below(2) == 0 ? static_cast<char>(below(256)) : kSigns[below(kSigns.size())];
    switch (below(4)) {
      case 0:
        good.erase(at, 1);
        break;
      case 1:
        good.insert(at, 1, sign);
        break;
      default:
        good[at] = sign;
    }
  }
  return good;
}

// Without the flushes of write_atomically(), which would take most of such a test's time.
inline void write_bytes(const Path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace loglog::testing
