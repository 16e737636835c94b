#include "io/npy.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cstring>

#include "base/check.hpp"
#include "base/error.hpp"
#include "io/cursor.hpp"
#include "io/float_types.hpp"

namespace loglog::io {
namespace {

constexpr std::uint64_t kMostHeaderBytes = 1 << 16;
constexpr std::size_t kMostDimensions = 32;  // numpy's own limit before 2.0

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
};

// The header is a Python literal of one form: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }. This reads that form, keys in
// any order, each once, and no other Python.
class HeaderText {
 public:
  HeaderText(std::string_view text, const Cursor& cursor) : all_(text), left_(text), cursor_(cursor) {}

  Header parse() {
    Header header;
    int seen = 0;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted("a key");
      expect(':');
      const int bit = key == "descr" ? 1 : key == "fortran_order" ? 2 : key == "shape" ? 4 : 0;
      if (bit == 0) reject(fmt::format("key '{}' is none of descr, fortran_order, shape", key));
      if ((seen & bit) != 0) reject(fmt::format("'{}' is there twice", key));
      seen |= bit;
      if (bit == 1) header.descr = descr();
      if (bit == 2) header.fortran_order = truth();
      if (bit == 4) header.shape = shape();
      if (accept('}')) break;
      expect(',');
    }
    skip_space();
    if (!left_.empty()) reject("text behind the header's '}'");
    if (seen != 7) reject("descr, fortran_order and shape are needed");
    return header;
  }

 private:
  [[noreturn]] void reject(const std::string& what) const {
    cursor_.reject(fmt::format("the header, character {},", all_.size() - left_.size()), what);
  }
  void skip_space() {
    const std::size_t end = left_.find_first_not_of(" \t\n\r");
    left_.remove_prefix(std::min(end, left_.size()));
  }
  bool accept(char c) {
    skip_space();
    if (!left_.starts_with(c)) return false;
    left_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) reject(fmt::format("'{}' is expected", c));
  }
  std::string quoted(std::string_view what) {
    skip_space();
    const char quote = left_.empty() ? '\0' : left_.front();
    if (quote != '\'' && quote != '"') reject(fmt::format("{} in quotes is expected", what));
    const std::size_t end = left_.find(quote, 1);
    if (end == std::string_view::npos) reject(fmt::format("{} without its closing quote", what));
    std::string text(left_.substr(1, end - 1));
    left_.remove_prefix(end + 1);
    return text;
  }
  std::string descr() {
    skip_space();
    if (left_.starts_with('[')) reject("descr is a list of fields: structured arrays are not read");
    return quoted("descr");
  }
  bool truth() {
    skip_space();
    const bool is_true = left_.starts_with("True");
    if (!is_true && !left_.starts_with("False")) reject("fortran_order is neither True nor False");
    left_.remove_prefix(is_true ? 4 : 5);
    return is_true;
  }
  std::vector<std::uint64_t> shape() {
    std::vector<std::uint64_t> sizes;
    expect('(');
    while (!accept(')')) {
      skip_space();
      std::uint64_t size = 0;
      const auto [next, error] = std::from_chars(left_.data(), left_.data() + left_.size(), size);
      if (error != std::errc()) reject("shape holds what is no whole number from 0 to 2^64 - 1");
      left_.remove_prefix(static_cast<std::size_t>(next - left_.data()));
      sizes.push_back(size);
      if (sizes.size() > kMostDimensions) reject(fmt::format("more than {} dimensions", kMostDimensions));
      if (accept(')')) break;
      expect(',');
    }
    return sizes;
  }

  std::string_view all_, left_;
  const Cursor& cursor_;
};

std::string_view header_text(Cursor& cursor) {
  constexpr char kMagic[] = "\x93NUMPY";
  const auto magic = cursor.take(6, "the magic");
  if (std::memcmp(magic.data(), kMagic, 6) != 0) cursor.reject("the magic", "this is no .npy file");
  const auto major = cursor.number<std::uint8_t>("the major version");
  if (major < 1 || major > 3)
    cursor.reject("the major version", fmt::format("{} is not read, 1 to 3 are", major));
  if (const auto minor = cursor.number<std::uint8_t>("the minor version"); minor != 0)
    cursor.reject("the minor version", fmt::format("{} is not read, 0 is", minor));
  const std::uint64_t length = major == 1 ? cursor.number<std::uint16_t>("the length of the header")
                                          : cursor.number<std::uint32_t>("the length of the header");
  if (length > kMostHeaderBytes)
    cursor.reject("the length of the header",
                  fmt::format("{} bytes, at most {} are read", length, kMostHeaderBytes));
  const auto bytes = cursor.take(length, "the header");
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::size_t item_bytes_of(const std::string& descr, const Cursor& cursor) {
  if (descr == "<f4") return 4;
  if (descr == "<f2") return 2;
  if (descr == "<f8") return 8;
  cursor.reject("descr", fmt::format("'{}' is not read; '<f2', '<f4' and '<f8' are", descr));
}

}  // namespace

NpyFile::NpyFile(const Path& path) : file_(map_input(path)) {
  Cursor cursor(file_.bytes(), path.native());
  const Header header = HeaderText(header_text(cursor), cursor).parse();
  if (header.fortran_order)
    cursor.reject("fortran_order", "True is not read; numpy.ascontiguousarray makes an array that is");
  item_bytes_ = item_bytes_of(header.descr, cursor);
  shape_ = header.shape;
  data_offset_ = cursor.offset();
  std::uint64_t bytes = item_bytes_;
  for (const std::uint64_t n : shape_) {
    if (!multiply_checked(bytes, n, bytes))
      cursor.reject("shape", fmt::format("({}) has more than 2^64 bytes", fmt::join(shape_, ", ")));
  }
  if (bytes != cursor.remaining())
    cursor.reject("shape", fmt::format("({}) of '{}' takes {} bytes, the file has {} behind the header",
                                       fmt::join(shape_, ", "), header.descr, bytes, cursor.remaining()));
}

std::uint64_t NpyFile::elements() const {
  std::uint64_t count = 1;
  for (const std::uint64_t n : shape_) count *= n;
  return count;
}

void NpyFile::read(std::span<float> out) const {
  LOGLOG_CHECK(out.size() == elements(), "{} elements, not {}", elements(), out.size());
  file_.check_size();
  const std::span<const std::byte> bytes = file_.bytes().subspan(data_offset_);
  if (item_bytes_ != sizeof(double)) return widen(item_bytes_ == 4 ? Dtype::f32 : Dtype::f16, bytes, out);
  for (std::size_t i = 0; i < out.size(); ++i) {
    double x;
    std::memcpy(&x, bytes.data() + i * sizeof(x), sizeof(x));
    out[i] = static_cast<float>(x);
  }
}

}  // namespace loglog::io
