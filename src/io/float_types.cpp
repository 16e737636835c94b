#include "io/float_types.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "base/check.hpp"
#include "kernels/bf16.hpp"

namespace loglog::io {

float from_half(std::uint16_t bits) noexcept {
  const std::uint32_t sign = std::uint32_t{bits & 0x8000u} << 16, magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00) return std::bit_cast<float>(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  // Read as the float of the same fields it is 2^112 too small, subnormal numbers included.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(scaled));
}

std::uint16_t to_half(float x) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)  // a NaN, made quiet
    return static_cast<std::uint16_t>(sign | 0x7e00 | ((magnitude >> 13) & 0x3ff));
  if (magnitude >= 0x477ff000) return static_cast<std::uint16_t>(sign | 0x7c00);  // rounds to 65,536 or more
  if (magnitude < 0x38800000) {
    // Below 2^-14 the result is a multiple of 2^-24. Added to 0.5 it stands in the low bits, rounded to even by the addition.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000));
  }
  const std::uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000) >> 13));
}

namespace {

constexpr std::size_t kPiece = 16384;  // elements of a buffer

template <class Bits, class Convert>
void widen_all(std::span<const std::byte> bytes, std::span<float> out, Convert&& convert) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    Bits element;
    std::memcpy(&element, bytes.data() + i * sizeof(Bits), sizeof(Bits));
    out[i] = convert(element);
  }
}

template <class Convert>
void put_narrow(std::span<const float> values, const std::function<void(std::span<const std::byte>)>& put,
                Convert&& convert) {
  std::vector<std::uint16_t> buffer(std::min(kPiece, values.size()));
  for (std::size_t first = 0; first < values.size(); first += kPiece) {
    const std::span<const float> piece = values.subspan(first, std::min(kPiece, values.size() - first));
    std::ranges::transform(piece, buffer.begin(), convert);
    put(std::as_bytes(std::span(buffer).first(piece.size())));
  }
}

}  // namespace

void widen(Dtype dtype, std::span<const std::byte> bytes, std::span<float> out) {
  LOGLOG_CHECK(is_float(dtype) && bytes.size() == out.size() * bytes_of(dtype),
               "{} bytes for {} elements of type {}", bytes.size(), out.size(), static_cast<int>(dtype));
  if (out.empty()) return;
  if (dtype == Dtype::f32) {
    std::memcpy(out.data(), bytes.data(), bytes.size());
  } else if (dtype == Dtype::f16) {
    widen_all<std::uint16_t>(bytes, out, from_half);
  } else {
    widen_all<kernels::bf16>(bytes, out, [](kernels::bf16 x) { return kernels::to_float(x); });
  }
}

void put_floats(Dtype dtype, std::span<const float> values,
                const std::function<void(std::span<const std::byte>)>& put) {
  LOGLOG_CHECK(is_float(dtype), "type {} is not written from floats", static_cast<int>(dtype));
  if (dtype == Dtype::f32) return put(std::as_bytes(values));
  if (dtype == Dtype::f16) return put_narrow(values, put, to_half);
  put_narrow(values, put, [](float x) { return kernels::to_bf16(x).bits; });
}

}  // namespace loglog::io
