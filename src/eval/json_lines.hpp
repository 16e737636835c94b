// Files of one JSON object per line. Fields that nobody asks for are ignored, blank lines too.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/file.hpp"
#include "base/flat_json.hpp"

namespace loglog::eval {

// One line. Errors name file, line and field.
class JsonLine {
 public:
  JsonLine(std::string_view text, const Path& path, std::size_t number);

  std::size_t number() const { return number_; }  // from 1
  bool has(const std::string& field) const;       // also where it is a list that is not empty
  bool has_text(const std::string& field) const;
  std::int64_t whole(const std::string& field) const { return values_.whole(field); }
  const std::string& text(const std::string& field) const { return values_.text(field); }
  std::size_t list_size(
      const std::string& field) const;  // of a list of values or of lists; its items are "FIELD/0", ...
  [[noreturn]] void reject(std::string_view what) const;  // InputError: "'FILE', line N: WHAT"

 private:
  const Path& path_;
  std::size_t number_;
  FlatJson values_;
};

// InputError when the file cannot be read or a line is no JSON object of the kind that FlatJson reads.
void for_each_json_line(const Path& path, const std::function<void(const JsonLine&)>& visit);
void for_each_json_line(std::string_view text, const Path& path,
                        const std::function<void(const JsonLine&)>& visit);

}  // namespace loglog::eval
