#include "io/safetensors_header.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.hpp"

namespace loglog::io {
namespace {

constexpr std::size_t kMostDimensions = 8;  // a matrix has two, a convolution four
constexpr std::string_view kMetadata = "__metadata__";

// Receives what the parser meets. There are three levels and each place takes one kind of value, so anything else is refused where
// it begins: nothing nested is ever kept.
//   {"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"KEY": "VALUE"}}
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  SafetensorsHeader header;
  std::string error;

  bool null() override { return refuse("null"); }
  bool boolean(bool) override { return refuse("true or false"); }
  bool number_integer(number_integer_t) override { return refuse("a number below 0"); }
  bool number_float(number_float_t, const string_t&) override { return refuse("no whole number below 2^64"); }
  bool binary(binary_t&) override { return refuse("binary data"); }
  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::numbers) return refuse("a number");
    const std::size_t limit = field_ == "shape" ? kMostDimensions : 2;
    if (numbers_.size() == limit) return refuse(fmt::format("a list of more than {} numbers", limit));
    numbers_.push_back(value);
    return true;
  }
  bool string(string_t& value) override {
    if (place_ == Place::metadata) {
      if (header.metadata.emplace(field_, value).second) return true;
      return refuse("there twice");
    }
    if (place_ != Place::tensor || field_ != "dtype") return refuse("a text");
    entry().dtype_name = value;
    return mark(kDtype);
  }
  bool key(string_t& value) override {
    if (place_ == Place::top) {
      tensor_ = value;
      return true;
    }
    field_ = value;
    if (place_ == Place::metadata || value == "dtype" || value == "shape" || value == "data_offsets")
      return true;
    return refuse("no field of a tensor");
  }
  bool start_object(std::size_t) override {
    if (place_ == Place::outside) {
      place_ = Place::top;
      return true;
    }
    if (place_ != Place::top) return refuse("an object");
    field_.clear();
    if (tensor_ == kMetadata) {
      if (has_metadata_) return refuse("there twice");
      has_metadata_ = true;
      place_ = Place::metadata;
      return true;
    }
    header.tensors.emplace_back().name = tensor_;
    seen_ = 0;
    place_ = Place::tensor;
    return true;
  }
  bool end_object() override {
    if (place_ == Place::tensor && seen_ != (kDtype | kShape | kOffsets)) {
      field_.clear();
      return refuse("a tensor that lacks dtype, shape or data_offsets");
    }
    place_ = place_ == Place::top ? Place::outside : Place::top;
    return true;
  }
  bool start_array(std::size_t) override {
    if (place_ != Place::tensor || (field_ != "shape" && field_ != "data_offsets")) return refuse("a list");
    numbers_.clear();
    place_ = Place::numbers;
    return true;
  }
  bool end_array() override {
    place_ = Place::tensor;
    if (field_ == "shape") {
      entry().shape = numbers_;
      return mark(kShape);
    }
    if (numbers_.size() != 2) return refuse("no pair of offsets");
    entry().begin = numbers_[0], entry().end = numbers_[1];
    return mark(kOffsets);
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    error = fmt::format("no valid JSON at byte {} of the header", position);
    return false;
  }

 private:
  enum class Place { outside, top, tensor, metadata, numbers };
  enum Field : unsigned { kDtype = 1, kShape = 2, kOffsets = 4 };

  TensorEntry& entry() { return header.tensors.back(); }
  bool mark(unsigned field) {
    if ((seen_ & field) != 0) return refuse("there twice");
    seen_ |= field;
    return true;
  }
  // At most the first characters of a name: one may be as long as the header.
  static std::string shortened(const std::string& name) {
    constexpr std::size_t kShown = 80;
    return name.size() <= kShown ? name : name.substr(0, kShown) + "...";
  }
  bool refuse(std::string_view what) {
    error = fmt::format("tensor '{}'{} is {}", shortened(tensor_),
                        field_.empty() ? "" : fmt::format(", field '{}',", shortened(field_)), what);
    if (place_ == Place::outside) error = "the header is no JSON object";
    return false;
  }

  Place place_ = Place::outside;
  std::string tensor_, field_;
  unsigned seen_ = 0;  // fields of the present tensor
  bool has_metadata_ = false;
  std::vector<std::uint64_t> numbers_;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t first,
                                           std::string_view file) {
  HeaderReader reader;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &reader)) {
    throw InputError(fmt::format("'{}': header at byte {}: {}", file, first, reader.error));
  }
  return std::move(reader.header);
}

}  // namespace loglog::io
