#include "data/json_lines.hpp"

#include <fmt/format.h>

#include <vector>

#include "base/error.hpp"

namespace loglog::data {

void JsonLine::reject(std::string_view what) const {
  throw InputError(fmt::format("'{}' line {} (byte {}): {}", path.native(), number, offset, what));
}

const std::string& JsonLine::text(const std::string& field) const {
  const auto found = object.find(field);
  if (found == object.end()) reject(fmt::format("has no field '{}'", field));
  if (!found->is_string()) reject(fmt::format("field '{}' is no string", field));
  return found->get_ref<const std::string&>();
}

void for_each_json_line(TextReader& reader, const Path& path,
                        const std::function<void(const JsonLine&)>& visit) {
  constexpr std::size_t kChunk = std::size_t{1} << 18;
  std::vector<char> buffer(kChunk);
  std::string text;
  std::uint64_t number = 0;
  std::uint64_t offset = 0;
  const auto end_line = [&] {
    JsonLine line{path, ++number, offset, {}};
    offset += text.size() + 1;
    if (text.find_first_not_of(" \t\r") != std::string::npos) {
      try {
        line.object = nlohmann::json::parse(text);
      } catch (const nlohmann::json::exception& error) {
        line.reject(fmt::format("no valid JSON: {}", error.what()));
      }
      if (!line.object.is_object()) line.reject("expected a JSON object");
      visit(line);
    }
    text.clear();
  };
  while (const std::size_t count = reader.read(buffer)) {
    std::string_view chunk(buffer.data(), count);
    for (std::size_t end; (end = chunk.find('\n')) != std::string_view::npos; chunk.remove_prefix(end + 1)) {
      text.append(chunk.substr(0, end));
      end_line();
    }
    text.append(chunk);
  }
  if (!text.empty()) end_line();
}

}  // namespace loglog::data
