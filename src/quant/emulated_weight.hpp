// int8 products done in float32: what rounding does to some of the inputs alone, or what noise of the same size would do.
//
//   rounding   x' = scale (q - zero), w' likewise
//   noise      x' = x + scale u, u uniform in [-1/2, 1/2): variance scale^2 / 12, the model of rounding as noise that depends on
//              nothing (Bennett 1948, "Spectra of quantized signals"); w' likewise
//
// Scales are those that the scheme gives the whole row, column or matrix. Outliers and what is not chosen stay exact. The product
// then rounds as kernels/gemm.hpp says.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "quant/scheme.hpp"
#include "tensor/frozen_weight.hpp"

namespace loglog::quant {

enum class RoundingError { rounding, noise };

struct Emulation {
  RoundingError error = RoundingError::rounding;
  bool inputs = true, weights = true;  // which factors err
  std::vector<bool> dimensions;        // (K) inputs, with their weights, that err; empty: all
  std::vector<Index>
      float_rows;  // that stay float32, ascending (kernels/int8.hpp): neither they nor their inputs err
  std::uint64_t seed = 1;  // of the noise
};

// Sums over what erred: squared errors, and squared steps over 12, which is what their mean should be.
struct ErrorPower {
  double inputs = 0, inputs_predicted = 0;
  double weights = 0, weights_predicted = 0;
};

// Whether both factors are int8 and what a row becomes does not hang on the outliers of others.
inline bool can_emulate(const Scheme& scheme) {
  return scheme.method == Method::int8 && !scheme.whole_columns;
}

// W (K,N) of a linear layer. ContractError for a scheme that cannot be emulated. `power`, where it is not null, outlives the result
// and grows: with the weights now, with inputs in each product. The noise of a row depends on its values and the seed alone.
std::shared_ptr<const tensor::FrozenWeight> emulate(const kernels::KernelTable& table, const Scheme& scheme,
                                                    kernels::ConstMatrixRef w, const Emulation& emulation,
                                                    ErrorPower* power);

// The same without the weight, for what there is to know of its size.
std::shared_ptr<const tensor::FrozenWeight> plan_emulated(Index rows, Index cols);

}  // namespace loglog::quant
