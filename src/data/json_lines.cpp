#include "data/json_lines.hpp"

#include <fmt/format.h>

#include <vector>

#include "base/error.hpp"

namespace loglog::data {

JsonLine::JsonLine(std::string_view text, const Path& path, std::size_t number)
    : path_(path),
      number_(number),
      values_(text, fmt::format("{}:{}", path.native(), number), JsonNulls::left_out) {
  if (!values_.has_object("")) reject("not a JSON object: one { ... } per line is expected");
}

bool JsonLine::has(const std::string& field) const {
  return values_.contains(field) || values_.list_size(field);
}

bool JsonLine::has_text(const std::string& field) const {
  const auto found = values_.values().find(field);
  return found != values_.values().end() && std::holds_alternative<std::string>(found->second);
}

void JsonLine::reject(std::string_view what) const {
  throw InputError(fmt::format("'{}:{}': {}", path_.native(), number_, what));
}

namespace {

// Cuts what streams by into lines.
class Lines {
 public:
  Lines(const Path& path, const std::function<void(const JsonLine&)>& visit) : path_(path), visit_(visit) {}

  void add(std::string_view chunk) {
    for (std::size_t end; (end = chunk.find('\n')) != std::string_view::npos; chunk.remove_prefix(end + 1)) {
      append(chunk.substr(0, end));
      end_line();
    }
    append(chunk);
  }
  void finish() {
    if (!line_.empty()) end_line();
  }

 private:
  void append(std::string_view part) {
    constexpr std::size_t kMostBytes = std::size_t{64} << 20;
    line_ += part;
    if (line_.size() > kMostBytes) {
      throw InputError(
          fmt::format("'{}:{}': a line of more than {} bytes: one JSON object per line is expected",
                      path_.native(), number_, kMostBytes));
    }
  }
  void end_line() {
    if (line_.find_first_not_of(" \t\r") != std::string::npos) visit_(JsonLine(line_, path_, number_));
    line_.clear();
    ++number_;
  }

  const Path& path_;
  const std::function<void(const JsonLine&)>& visit_;
  std::string line_;
  std::size_t number_ = 1;
};

}  // namespace

void for_each_json_line(TextReader& reader, const Path& path,
                        const std::function<void(const JsonLine&)>& visit) {
  constexpr std::size_t kChunk = std::size_t{1} << 18;
  std::vector<char> buffer(kChunk);
  Lines lines(path, visit);
  while (const std::size_t count = reader.read(buffer)) lines.add({buffer.data(), count});
  lines.finish();
}

void for_each_json_line(std::string_view text, const Path& path,
                        const std::function<void(const JsonLine&)>& visit) {
  Lines lines(path, visit);
  lines.add(text);
  lines.finish();
}

}  // namespace loglog::data
