// Floating-point numbers as files hold them: float32, half precision (IEEE 754 binary16) and bfloat16.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "io/dtype.hpp"

namespace loglog::io {

// Exact: every binary16 is a float32. NaN keeps its payload.
float from_half(std::uint16_t bits) noexcept;
// The nearest, ties to even; infinity above 65,519.996; a NaN stays one.
std::uint16_t to_half(float x) noexcept;

// out[i] = element i of `bytes`, which need not be aligned; bytes.size() is that of out.size() elements of `dtype`.
void widen(Dtype dtype, std::span<const std::byte> bytes, std::span<float> out);

// Hands `values` to `put` as elements of f32, f16 or bf16, some thousands at a time.
void put_floats(Dtype dtype, std::span<const float> values,
                const std::function<void(std::span<const std::byte>)>& put);

}  // namespace loglog::io
