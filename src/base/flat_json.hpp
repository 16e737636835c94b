// JSON as a flat map from paths to values: {"a": {"b": [1, true]}} is {"a/b/0": 1, "a/b/1": true}. At most 32 levels; a whole number
// beyond 64 bits is a double.
//
// What the loaders read comes through here rather than as a tree: the tree's destructor allocates, which ends
// the program when memory runs out, and duplicate keys pass through it unnoticed.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace loglog {

enum class JsonNulls : bool { refused, left_out };

using JsonValue = std::variant<bool, std::int64_t, double, std::string>;

class FlatJson {
 public:
  // `name` is what messages call the text. InputError when it is no JSON, has a key twice, or a null that is not to be left out.
  FlatJson(std::string_view text, std::string name, JsonNulls nulls = JsonNulls::refused);

  const std::map<std::string, JsonValue>& values() const { return values_; }
  bool contains(const std::string& path) const { return values_.contains(path); }
  // Where nothing else tells it: a list or an object may be empty, and a key may look like a path.
  std::optional<std::size_t> list_size(const std::string& path) const;  // nothing where no list is
  bool has_object(const std::string& path) const;                       // "" is the whole text

  // InputError when the value is absent or has another type.
  std::int64_t whole(const std::string& path) const;
  double real(const std::string& path) const;
  const std::string& text(const std::string& path) const;
  bool flag(const std::string& path) const;

 private:
  const JsonValue& at(const std::string& path) const;
  [[noreturn]] void reject(const std::string& path, std::string_view expected) const;
  std::string name_;
  std::map<std::string, JsonValue> values_;
  std::map<std::string, std::optional<std::size_t>> nested_;  // lists with their sizes, objects without
};

}  // namespace loglog
