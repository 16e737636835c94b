#include "data/header_json.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace loglog::data {
namespace {

// Receives what the parser meets, and knows by depth and key where it stands: 1 is the object, 2 the list
// "sources", 3 one of its entries.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(HeaderFields& fields) : fields_(fields) {}

  bool null() override { return at_top("line_end") || scalar(nullptr, nullptr, nullptr); }
  bool boolean(bool) override { return scalar(nullptr, nullptr, nullptr); }
  bool number_integer(number_integer_t value) override {  // negative: what is not is unsigned
    const double real = static_cast<double>(value);
    return scalar(nullptr, &real, nullptr);
  }
  bool number_unsigned(number_unsigned_t value) override {
    const std::uint64_t whole = value;
    const double real = static_cast<double>(value);
    return scalar(&whole, &real, nullptr);
  }
  bool number_float(number_float_t value, const string_t&) override {
    return scalar(nullptr, &value, nullptr);
  }
  bool string(string_t& value) override { return scalar(nullptr, nullptr, &value); }
  bool binary(binary_t&) override { return scalar(nullptr, nullptr, nullptr); }

  bool start_object(std::size_t) override {
    if (depth_ == 2 && in_sources_) {
      fields_.sources->emplace_back();
    } else if (depth_ != 0 && !passes_over()) {
      return wrong_type();
    }
    ++depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ == 1 && top_ == "sources") {
      in_sources_ = true;
      fields_.sources.emplace();
    } else if (!passes_over()) {
      return wrong_type();
    }
    ++depth_;
    return true;
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool end_array() override {
    if (--depth_ == 1) in_sources_ = false;
    return true;
  }
  bool key(string_t& value) override {
    if (depth_ == 1) top_ = value;
    if (depth_ == 3) inner_ = value;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    return fail(fmt::format("no valid JSON at byte {} of it", position));
  }

 private:
  bool at_top(std::string_view name) const { return depth_ == 1 && top_ == name; }
  bool in_source(std::string_view name) const { return depth_ == 3 && in_sources_ && inner_ == name; }
  // Whether a value of any type may stand here: the root is an object, "sources" a list of objects, and what
  // is read below has its type.
  bool passes_over() const {
    if (depth_ == 0 || at_top("sources") || at_top("line_end") || at_top("text_bytes")) return false;
    if (!in_sources_) return true;
    return depth_ > 3 || (depth_ == 3 && !in_source("name") && !in_source("begin") && !in_source("end") &&
                          !in_source("documents"));
  }

  // The arguments are what the value can be read as; null where it cannot.
  bool scalar(const std::uint64_t* whole, const double* real, const std::string* text) {
    if (passes_over()) return true;
    if (at_top("line_end") && whole != nullptr) {
      fields_.line_end = *whole;
    } else if (at_top("text_bytes") && real != nullptr) {
      fields_.text_bytes = *real;
    } else if (in_source("name") && text != nullptr) {
      fields_.sources->back().name = *text;
    } else if (in_source("begin") && whole != nullptr) {
      fields_.sources->back().begin = *whole;
    } else if (in_source("end") && whole != nullptr) {
      fields_.sources->back().end = *whole;
    } else if (in_source("documents") && whole != nullptr) {
      fields_.sources->back().documents = *whole;
    } else {
      return wrong_type();
    }
    return true;
  }

  bool wrong_type() {
    if (depth_ == 0) return fail("it is no object");
    return fail(in_sources_
                    ? fmt::format("a source's '{}' has the wrong type", depth_ == 3 ? inner_ : "entry")
                    : fmt::format("'{}' has the wrong type", top_));
  }
  bool fail(std::string what) {
    fields_.error = std::move(what);
    return false;
  }

  HeaderFields& fields_;
  int depth_ = 0;
  bool in_sources_ = false;
  std::string top_;
  std::string inner_;
};

}  // namespace

HeaderFields read_header_json(std::string_view text) {
  HeaderFields fields;
  HeaderReader reader(fields);
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  if (!fields.error.empty()) return fields;
  if (!fields.sources) fields.error = "there is no list 'sources'";
  for (std::size_t i = 0; fields.error.empty() && i < fields.sources->size(); ++i) {
    const HeaderSource& source = (*fields.sources)[i];
    if (!source.name || !source.begin || !source.end)
      fields.error = fmt::format("source {} needs name, begin and end", i);
  }
  return fields;
}

}  // namespace loglog::data
