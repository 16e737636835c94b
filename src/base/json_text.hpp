// JSON of names that the file system allows and JSON does not: bytes that are not UTF-8.
//
// One rule for all output: such a name is shown with U+FFFD in place of its ill-formed bytes. A name that has to come
// back as it was, as data.path of a run does, is refused before anything is written (as_utf8(name) != name).
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace loglog {

// As dump(indent), for basic_json and ordered_json, without its exception for ill-formed text.
template <class Json>
std::string json_text(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// `text` as json_text() shows it.
inline std::string as_utf8(const std::string& text) {
  return nlohmann::json::parse(json_text(nlohmann::json(text))).template get<std::string>();
}

}  // namespace loglog
