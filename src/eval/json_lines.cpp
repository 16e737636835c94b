#include "eval/json_lines.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace loglog::eval {

JsonLine::JsonLine(std::string_view text, const Path& path, std::size_t number)
    : path_(path), number_(number), values_(text, fmt::format("{}:{}", path.native(), number)) {
  if (text.front() != '{') reject("not a JSON object: one { ... } per line is expected");
}

bool JsonLine::has(const std::string& field) const {
  return values_.contains(field) || list_size(field) > 0;
}

bool JsonLine::has_text(const std::string& field) const {
  const auto found = values_.values().find(field);
  return found != values_.values().end() && std::holds_alternative<std::string>(found->second);
}

std::size_t JsonLine::list_size(const std::string& field) const {
  std::size_t size = 0;
  const auto is_item = [&](const std::string& name) {
    const auto next = values_.values().lower_bound(name);
    return next != values_.values().end() && (next->first == name || next->first.starts_with(name + "/"));
  };
  while (is_item(fmt::format("{}/{}", field, size))) ++size;
  return size;
}

void JsonLine::reject(std::string_view what) const {
  throw InputError(fmt::format("'{}:{}': {}", path_.native(), number_, what));
}

void for_each_json_line(std::string_view text, const Path& path,
                        const std::function<void(const JsonLine&)>& visit) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first != std::string_view::npos) visit(JsonLine(line.substr(first), path, number));
  }
}

void for_each_json_line(const Path& path, const std::function<void(const JsonLine&)>& visit) {
  for_each_json_line(read_input(path), path, visit);
}

}  // namespace loglog::eval
