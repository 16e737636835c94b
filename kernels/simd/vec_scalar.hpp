// The scalar ISA's vector: one element, so that the same tiles run on any CPU.
#pragma once
#include <cstdint>

namespace loglog::kernels {
namespace {

// What sums are made in. Integers wrap as the lanes of a vector do, hence unsigned: signed overflow is undefined, and
// log() subtracts from the bits of negative floats before it knows that they have no logarithm.
template <class T>
struct SumType {
  using type = T;
};
template <>
struct SumType<std::int32_t> {
  using type = std::uint32_t;
};

template <class T>
struct Vec {
  static constexpr int size = 1;
  using Sum = typename SumType<T>::type;
  T value;
  Vec() = default;
  explicit Vec(T v) : value(v) {}

  friend Vec operator+(Vec a, Vec b) {
    return Vec(static_cast<T>(static_cast<Sum>(a.value) + static_cast<Sum>(b.value)));
  }
  friend Vec operator-(Vec a, Vec b) {
    return Vec(static_cast<T>(static_cast<Sum>(a.value) - static_cast<Sum>(b.value)));
  }
  friend Vec operator*(Vec a, Vec b) {
    return Vec(static_cast<T>(static_cast<Sum>(a.value) * static_cast<Sum>(b.value)));
  }
  friend Vec operator/(Vec a, Vec b) { return Vec(a.value / b.value); }
  friend Vec operator&(Vec a, Vec b) { return Vec(a.value & b.value); }
  friend Vec operator|(Vec a, Vec b) { return Vec(a.value | b.value); }
  friend Vec operator-(Vec a) { return Vec(-a.value); }
  friend bool operator<(Vec a, Vec b) { return a.value < b.value; }
  friend bool operator<=(Vec a, Vec b) { return a.value <= b.value; }
  friend bool operator>(Vec a, Vec b) { return a.value > b.value; }
  friend bool operator>=(Vec a, Vec b) { return a.value >= b.value; }
  friend bool operator==(Vec a, Vec b) { return a.value == b.value; }
  friend bool operator!=(Vec a, Vec b) { return a.value != b.value; }
};

template <class T>
using Mask = bool;

template <class T>
inline Vec<T> load(const T* p) {
  return Vec<T>(*p);
}
template <class T>
inline void store(T* p, Vec<T> v) {
  *p = v.value;
}

// The plain CPU has no store that goes past the caches.
inline void stream(float* p, Vec<float> v) {
  store(p, v);
}
inline void stream_fence() {}

// Two roundings here: a fused one needs an instruction that the plain CPU lacks.
inline Vec<float> muladd(Vec<float> a, Vec<float> b, Vec<float> c) {
  return a * b + c;
}
inline Vec<double> muladd(Vec<double> a, Vec<double> b, Vec<double> c) {
  return a * b + c;
}

template <class T>
inline Vec<T> select(bool mask, Vec<T> yes, Vec<T> no) {
  return mask ? yes : no;
}
// b where the comparison is false, so a NaN in a gives b; the other ISAs do the same.
inline Vec<float> min(Vec<float> a, Vec<float> b) {
  return a.value < b.value ? a : b;
}
inline Vec<float> max(Vec<float> a, Vec<float> b) {
  return a.value > b.value ? a : b;
}
inline Vec<float> sqrt(Vec<float> a) {
  return Vec<float>(__builtin_sqrtf(a.value));
}
inline Vec<float> abs(Vec<float> a) {
  return Vec<float>(__builtin_fabsf(a.value));
}
template <class T>
inline T reduce_add(Vec<T> v) {
  return v.value;
}

// Any bytes as integer lanes.
inline Vec<std::int32_t> load_bits(const void* p) {
  std::int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return Vec<std::int32_t>(bits);
}

// Unsigned 16-bit lanes as integer lanes, and the lower halves of integer lanes.
inline Vec<std::int32_t> load_halves(const void* p) {
  std::uint16_t half;
  __builtin_memcpy(&half, p, sizeof half);
  return Vec<std::int32_t>(half);
}
inline void store_halves(void* p, Vec<std::int32_t> v) {
  const auto half = static_cast<std::uint16_t>(v.value);
  __builtin_memcpy(p, &half, sizeof half);
}

// Unsigned bytes as integer lanes.
inline Vec<std::int32_t> load_bytes(const std::uint8_t* p) {
  return Vec<std::int32_t>(*p);
}

// Signed bytes as integer lanes.
inline Vec<std::int32_t> load_bytes(const std::int8_t* p) {
  return Vec<std::int32_t>(*p);
}

// The lowest bytes of integer lanes, which must fit as signed ones.
inline void store_bytes(std::int8_t* p, Vec<std::int32_t> v) {
  *p = static_cast<std::int8_t>(v.value);
}
inline bool any(Mask<float> mask) {
  return mask;
}
inline void stream_halves(void* p, Vec<std::int32_t> v) {
  store_halves(p, v);
}

// The elements of two vectors in even and odd places, and back: of one element each, they are in place.
struct VecPair {
  Vec<float> first, second;
};
inline VecPair deinterleave(Vec<float> low, Vec<float> high) {
  return {low, high};
}
inline VecPair interleave(Vec<float> even, Vec<float> odd) {
  return {even, odd};
}

// Truncates towards zero; the value must fit.
inline Vec<std::int32_t> to_int(Vec<float> v) {
  return Vec<std::int32_t>(static_cast<std::int32_t>(v.value));
}
inline Vec<float> to_float(Vec<std::int32_t> v) {
  return Vec<float>(static_cast<float>(v.value));
}
inline Vec<std::int32_t> bits_of(Vec<float> v) {
  return Vec<std::int32_t>(__builtin_bit_cast(std::int32_t, v.value));
}
inline Vec<float> float_of(Vec<std::int32_t> v) {
  return Vec<float>(__builtin_bit_cast(float, v.value));
}
// Through unsigned: shifting into the sign bit is what exponents are built with.
inline Vec<std::int32_t> shift_left(Vec<std::int32_t> v, int bits) {
  return Vec<std::int32_t>(static_cast<std::int32_t>(static_cast<std::uint32_t>(v.value) << bits));
}
// Arithmetic: copies the sign.
inline Vec<std::int32_t> shift_right(Vec<std::int32_t> v, int bits) {
  return Vec<std::int32_t>(v.value >> bits);
}

}  // namespace
}  // namespace loglog::kernels
