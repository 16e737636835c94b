#include "nn/layer.hpp"

#include "base/rng.hpp"

namespace loglog::nn {

kernels::Dropout Batch::dropout_at(Index site) const {
  constexpr std::uint64_t kStream = 0x64726f70;  // no other numbers of a run come from it
  const Rng rng(dropout.seed, kStream + static_cast<std::uint64_t>(site));
  return {dropout.rate, rng.bits(dropout.step), dropout.first_row};
}

}  // namespace loglog::nn
