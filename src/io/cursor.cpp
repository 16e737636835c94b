#include "io/cursor.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace loglog::io {

std::span<const std::byte> Cursor::take(std::uint64_t count, std::string_view field) {
  last_ = offset_;
  if (count > remaining())
    reject(field, fmt::format("{} bytes are expected, the file has {} more", count, remaining()));
  offset_ += count;
  return bytes_.subspan(last_, count);
}

void Cursor::reject(std::string_view field, std::string_view what) const {
  throw InputError(fmt::format("'{}': {} at byte {}: {}", file_, field, last_, what));
}

}  // namespace loglog::io
