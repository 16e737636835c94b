#include "base/flat_json.hpp"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.hpp"

namespace loglog {
namespace {

constexpr std::size_t kDeepest = 32;  // levels; no file of ours has more than five

using Values = std::map<std::string, JsonValue>;
using Nested = std::map<std::string, std::optional<std::size_t>>;

// Receives what the parser meets and files it under its path.
class Flattener final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Flattener(Values& values, Nested& nested, JsonNulls nulls)
      : values_(values), nested_(nested), nulls_(nulls) {}
  std::string error;

  bool null() override {
    if (nulls_ == JsonNulls::refused) return fail("a null");
    advance();
    return true;
  }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(static_cast<std::int64_t>(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max()))
      return put(static_cast<double>(value));
    return put(static_cast<std::int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return fail("binary data"); }
  bool start_object(std::size_t) override { return open(false); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(true); }
  bool end_array() override { return close(); }
  bool key(string_t& value) override {
    levels_.back().key = value;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    error = fmt::format("no valid JSON at byte {}", position);
    return false;
  }

 private:
  struct Level {
    bool array;
    std::size_t index;
    std::string key;
  };

  bool open(bool array) {
    if (levels_.size() == kDeepest) return fail("more levels than any file of ours");
    std::string place = path();
    if (values_.contains(place) || !nested_.emplace(std::move(place), std::nullopt).second)
      return fail("a key that is there twice");
    levels_.push_back({array, 0, ""});
    return true;
  }
  bool close() {
    const Level closed = levels_.back();
    levels_.pop_back();
    if (closed.array) nested_.at(path()) = closed.index;
    advance();
    return true;
  }
  void advance() {
    if (!levels_.empty()) ++levels_.back().index;
  }
  std::string path() const {
    std::string text;
    for (const Level& level : levels_) {
      if (!text.empty()) text += '/';
      text += level.array ? std::to_string(level.index) : level.key;
    }
    return text;
  }
  bool put(JsonValue value) {
    std::string place = path();
    if (nested_.contains(place) || !values_.emplace(std::move(place), std::move(value)).second)
      return fail("a key that is there twice");
    advance();
    return true;
  }
  bool fail(std::string_view what) {
    error = fmt::format("{} at '{}'", what, path());
    return false;
  }

  Values& values_;
  Nested& nested_;
  JsonNulls nulls_;
  std::vector<Level> levels_;
};

}  // namespace

FlatJson::FlatJson(std::string_view text, std::string name, JsonNulls nulls) : name_(std::move(name)) {
  Flattener flattener(values_, nested_, nulls);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &flattener)) {
    throw InputError(fmt::format("'{}' is damaged: {}", name_, flattener.error));
  }
}

void FlatJson::reject(const std::string& path, std::string_view expected) const {
  throw InputError(fmt::format("'{}' is damaged: '{}' is not {}", name_, path, expected));
}

std::optional<std::size_t> FlatJson::list_size(const std::string& path) const {
  const auto found = nested_.find(path);
  return found == nested_.end() ? std::nullopt : found->second;
}

bool FlatJson::has_object(const std::string& path) const {
  const auto found = nested_.find(path);
  return found != nested_.end() && !found->second;
}

const JsonValue& FlatJson::at(const std::string& path) const {
  const auto found = values_.find(path);
  if (found == values_.end()) reject(path, "there");
  return found->second;
}

std::int64_t FlatJson::whole(const std::string& path) const {
  const auto* value = std::get_if<std::int64_t>(&at(path));
  if (value == nullptr) reject(path, "a whole number below 2^63");
  return *value;
}

double FlatJson::real(const std::string& path) const {
  const JsonValue& value = at(path);
  if (const auto* real = std::get_if<double>(&value)) return *real;
  return static_cast<double>(whole(path));
}

const std::string& FlatJson::text(const std::string& path) const {
  const auto* value = std::get_if<std::string>(&at(path));
  if (value == nullptr) reject(path, "a string");
  return *value;
}

bool FlatJson::flag(const std::string& path) const {
  const auto* value = std::get_if<bool>(&at(path));
  if (value == nullptr) reject(path, "true or false");
  return *value;
}

}  // namespace loglog
