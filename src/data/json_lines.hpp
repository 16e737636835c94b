// Files of one JSON object per line.
#pragma once
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "base/file.hpp"
#include "data/text_reader.hpp"

namespace loglog::data {

struct JsonLine {
  const Path& path;
  std::uint64_t number;  // from 1, empty lines counted
  std::uint64_t offset;  // bytes of (unpacked) text before it
  nlohmann::json object;

  const std::string& text(const std::string& field) const;  // InputError when there is none, or no string
  [[noreturn]] void reject(std::string_view what) const;    // InputError naming file, line and offset
};

// Every line that is not blank. Memory holds the longest line. InputError for a line that is no JSON object, and as
// TextReader.
void for_each_json_line(TextReader& reader, const Path& path,
                        const std::function<void(const JsonLine&)>& visit);

}  // namespace loglog::data
