// The rungs of the ladders that need vectors, compiled once per ISA with the flags of its kernels. Leaf rule as in
// isa_table.cpp. A new rung is a new file and a line in one of the lists.
#include "kernels/ladder/table.hpp"

#include "kernels/simd/isa_name.hpp"
#include "kernels/simd/ladder/attention/04_vectors.hpp"
#include "kernels/simd/ladder/gemm/04_one_vector.hpp"
#include "kernels/simd/ladder/gemm/05_register_row.hpp"
#include "kernels/simd/ladder/gemm/06_packed_panels.hpp"
#include "kernels/simd/ladder/gemm/07_register_tile.hpp"
#include "kernels/simd/ladder/gemm/08_packed_rows.hpp"
#include "kernels/simd/ladder/gemm/09_prefetch.hpp"

namespace loglog::kernels::ladder {
namespace {

constinit const GemmRung kGemmRungs[] = {
    kOneVector, kRegisterRow, kPackedPanels, kRegisterTile, kPackedRows, kPrefetch,
};

constinit const AttentionRung kAttentionRungs[] = {
    kAttentionVectors,
};

template <class T, int N>
constexpr List<T> list(const T (&items)[N]) {
  return {items, N};
}

}  // namespace

extern const LadderTable LOGLOG_ISA_LADDER;
constinit const LadderTable LOGLOG_ISA_LADDER = {
    .name = LOGLOG_ISA_TEXT,
    .gemm = list(kGemmRungs),
    .attention = list(kAttentionRungs),
};

}  // namespace loglog::kernels::ladder
