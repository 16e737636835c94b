// The makers of the ladders that ladder.cpp lists.
#pragma once
#include "kernels/ladder/ladder.hpp"

namespace loglog::kernels::ladder {

// size: M, N, K, each >= 1.
std::unique_ptr<Ladder> make_gemm_ladder(const KernelTable& table, int threads,
                                         const std::vector<Index>& size);

// size: heads H, time T, head size D, each >= 1.
std::unique_ptr<Ladder> make_attention_ladder(const KernelTable& table, int threads,
                                              const std::vector<Index>& size);

// size: M, N, K, each >= 1.
std::unique_ptr<Ladder> make_int8_ladder(const KernelTable& table, int threads,
                                         const std::vector<Index>& size);

}  // namespace loglog::kernels::ladder
