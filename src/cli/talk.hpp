// What the program says to people while it works.
#pragma once
#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <utility>

namespace loglog::cli {

// To standard error, at once. What cannot be written (a terminal that was closed, a full disk) is dropped: no run
// is lost and no exit code changes for it.
template <class... Values>
void talk(fmt::format_string<Values...> format, Values&&... values) {
  const std::string text = fmt::format(format, std::forward<Values>(values)...);
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace loglog::cli
