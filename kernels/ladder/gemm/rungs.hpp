// The list of the gemm ladder: what is here in plain C++; what needs vectors is listed in simd/ladder/ladder_table.cpp.
// A new rung is a new file and one line in one of the two; its number says where it stands.
#pragma once
#include "kernels/ladder/gemm.hpp"

namespace loglog::kernels::ladder {

extern const GemmRung kThreeLoops, kLoopOrder, kCacheBlocks, kThreads, kLibrary, kBfloat16, kTiles;

inline const GemmRung* const kPlainGemmRungs[] = {
    &kThreeLoops, &kLoopOrder, &kCacheBlocks, &kThreads, &kLibrary, &kBfloat16, &kTiles,
};

}  // namespace loglog::kernels::ladder
