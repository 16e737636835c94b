#include "night/ladder.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "model/count.hpp"

namespace loglog::night {
namespace {

using model::Index;

// Heads of 32 channels where there is room for several, of 16 below, of 8 and 4 in the smallest.
Index heads_of(Index width) {
  for (const Index size : {32, 16, 8})
    if (width % size == 0 && width >= (size == 32 ? 128 : size)) return width / size;
  return width / 4;
}

}  // namespace

model::ModelConfig model_of(const Rung& rung, Index vocab, Index context) {
  model::ModelConfig m;
  m.layers = rung.layers, m.width = rung.width, m.heads = rung.heads;
  m.vocab = vocab, m.context = context, m.bias = false;
  return m;
}

std::vector<Rung> size_ladder(Index vocab, Index context) {
  constexpr double kStep = 1.45, kLargest = 1e9;
  constexpr Index kFinest = 4, kWidthPerLayer = 32;  // as configs/sweeps/laws-text.toml has them
  std::vector<Rung> ladder;
  for (Index width = kFinest;; width += width < 16 ? kFinest : width < 32 ? 8 : 16) {
    const Index layers = std::max<Index>(1, width / kWidthPerLayer);
    Rung rung{fmt::format("l{}w{}", layers, width), layers, width, heads_of(width)};
    const model::ModelConfig m = model_of(rung, vocab, context);
    rung.N = model::count_parameters(m).n_matrix;
    if (rung.N > kLargest) return ladder;
    if (!ladder.empty() && rung.N < kStep * ladder.back().N) continue;
    rung.flops_per_token = model::count_flops_per_token(m).math;
    ladder.push_back(std::move(rung));
  }
}

}  // namespace loglog::night
