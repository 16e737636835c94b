// The list of the attention ladder, in plain C++; what needs vectors is listed in simd/ladder/ladder_table.cpp.
#pragma once
#include "kernels/ladder/attention.hpp"

namespace loglog::kernels::ladder {

extern const AttentionRung kNaive, kOnlineSoftmax, kAttentionBlocks, kAttentionThreads, kAttentionLibrary,
    kBackwardNaive, kBackwardRecomputed;

inline const AttentionRung* const kPlainAttentionRungs[] = {
    &kNaive,         &kOnlineSoftmax,      &kAttentionBlocks, &kAttentionThreads, &kAttentionLibrary,
    &kBackwardNaive, &kBackwardRecomputed,
};

}  // namespace loglog::kernels::ladder
