// What a language model reads and predicts: the number of a word in a vocabulary.
#pragma once
#include <cstdint>

namespace loglog::kernels {

using Token = std::int32_t;

inline constexpr Token kIgnoreTarget = -1;  // a target that counts nothing

}  // namespace loglog::kernels
