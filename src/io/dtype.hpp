// The types of numbers in files of tensors.
#pragma once
#include <cstddef>

#include "base/check.hpp"

namespace loglog::io {

// Floating-point types are read as float32, whole numbers as they are. Files may hold tensors of others, which stay unread.
enum class Dtype { f32, f16, bf16, i8, u8, i32, i64, other };

constexpr bool is_float(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::f16 || dtype == Dtype::bf16;
}

// Of one element; not of `other` (ContractError), which may be any.
inline std::size_t bytes_of(Dtype dtype) {
  LOGLOG_CHECK(dtype != Dtype::other, "a type that is not read has no known size");
  switch (dtype) {
    case Dtype::i8:
    case Dtype::u8:
      return 1;
    case Dtype::f16:
    case Dtype::bf16:
      return 2;
    case Dtype::i64:
      return 8;
    default:
      return 4;
  }
}

}  // namespace loglog::io
