// Which activation functions there are; what they compute: rowwise/activation.hpp.
#pragma once

namespace loglog::kernels {

enum class Activation : int { identity, relu, gelu, silu, gelu_erf };

}  // namespace loglog::kernels
