// A place in the bytes of a file that a stranger wrote. Every step is checked against the end; numbers are little-endian.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace loglog::io {

static_assert(std::endian::native == std::endian::little);

class Cursor {
 public:
  // `file` is what messages call the bytes.
  Cursor(std::span<const std::byte> bytes, std::string file) : bytes_(bytes), file_(std::move(file)) {}

  std::uint64_t offset() const noexcept { return offset_; }
  std::uint64_t remaining() const noexcept { return bytes_.size() - offset_; }

  // The next number, or `count` bytes. InputError naming file, offset and `field` when they are not all there.
  template <class Number>
  Number number(std::string_view field) {
    static_assert(std::is_arithmetic_v<Number>);
    Number value;
    std::memcpy(&value, take(sizeof(Number), field).data(), sizeof(Number));
    return value;
  }
  std::span<const std::byte> take(std::uint64_t count, std::string_view field);

  // InputError: "'FILE': FIELD at byte N: WHAT", N being where the field that was taken last began.
  [[noreturn]] void reject(std::string_view field, std::string_view what) const;

 private:
  std::span<const std::byte> bytes_;
  std::string file_;
  std::uint64_t offset_ = 0;
  std::uint64_t last_ = 0;  // where the latest take() began
};

// a * b, and whether it is below 2^64.
inline bool multiply_checked(std::uint64_t a, std::uint64_t b, std::uint64_t& product) noexcept {
  return !__builtin_mul_overflow(a, b, &product);
}

}  // namespace loglog::io
