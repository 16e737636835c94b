// The types of numbers in files of tensors.
#pragma once
#include <cstddef>

#include "base/check.hpp"

namespace loglog::io {

// The types whose values are read here, as float32. Files may hold tensors of others (masks, counters), which stay unread.
enum class Dtype { f32, f16, bf16, other };

// Of one element; not of `other` (ContractError), which may be any.
inline std::size_t bytes_of(Dtype dtype) {
  LOGLOG_CHECK(dtype != Dtype::other, "a type that is not read has no known size");
  return dtype == Dtype::f32 ? 4 : 2;
}

}  // namespace loglog::io
