// Files of one JSON object per line. Blank lines are passed over, and so are fields that nobody asks for.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/file.hpp"
#include "base/flat_json.hpp"
#include "data/text_reader.hpp"

namespace loglog::data {

// One line. Errors are InputErrors that name file, line and field. A field that is null is as absent.
class JsonLine {
 public:
  JsonLine(std::string_view text, const Path& path, std::size_t number);

  std::size_t number() const { return number_; }  // from 1, blank lines counted
  bool has(const std::string& field) const;       // a value, or a list
  bool has_text(const std::string& field) const;
  std::int64_t whole(const std::string& field) const { return values_.whole(field); }
  const std::string& text(const std::string& field) const { return values_.text(field); }
  // Of a list, whose items are "FIELD/0", ...; 0 of anything else.
  std::size_t list_size(const std::string& field) const { return values_.list_size(field).value_or(0); }
  [[noreturn]] void reject(std::string_view what) const;  // "'FILE:LINE': WHAT"

 private:
  const Path& path_;
  std::size_t number_;
  FlatJson values_;
};

// Every line that is not blank, as it streams by: memory holds the longest, which may have 64 MiB. InputError for a line that is
// longer, is no object or has a key twice; and as TextReader.
void for_each_json_line(TextReader& reader, const Path& path,
                        const std::function<void(const JsonLine&)>& visit);
// The same of a text that was read already.
void for_each_json_line(std::string_view text, const Path& path,
                        const std::function<void(const JsonLine&)>& visit);

}  // namespace loglog::data
