// Lists that users write with commas.
#pragma once
#include <string_view>
#include <vector>

namespace loglog {

// What stands between the commas, empty items too: one at least. The pieces are parts of `text`.
inline std::vector<std::string_view> items_of(std::string_view text) {
  std::vector<std::string_view> items;
  for (;;) {
    const std::size_t comma = text.find(',');
    items.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return items;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace loglog
