// The table of one instruction set. CMake compiles this file once per ISA (loglog_add_isa) with its flags.
//
// Leaf rule: this object defines its table and no other symbol that a linker sees, uses no library function but memcpy
// and memset, and has no static initialiser. Two ISAs may hold the same function under different flags; a weak symbol
// would let the linker pick the one that this CPU cannot run. What kernels/simd defines is therefore in anonymous
// namespaces; the few functions of headers that drivers share (matrix.hpp, bf16.hpp) are small enough to be inlined, of
// which only ctest structure.isa_symbols, which reads the objects, can be sure.
#include "kernels/table.hpp"

#include "kernels/simd/attention_tiles.hpp"
#include "kernels/simd/gemm_packed_tile.hpp"
#include "kernels/simd/gemm_tile.hpp"
#include "kernels/simd/peak_loops.hpp"
#include "kernels/simd/rowwise_tiles.hpp"

#define LOGLOG_JOIN2(a, b) a##b
#define LOGLOG_JOIN(a, b) LOGLOG_JOIN2(a, b)
#define LOGLOG_TEXT2(a) #a
#define LOGLOG_TEXT(a) LOGLOG_TEXT2(a)

namespace loglog::kernels {
namespace {

constinit const GemmBf16 kGemmBf16 = packed_gemm<WidenedBf16>();
constinit const GemmS8 kGemmS8 = packed_gemm<DotS8>();

}  // namespace

extern const KernelTable LOGLOG_JOIN(table_, LOGLOG_ISA_NAME);
constinit const KernelTable LOGLOG_JOIN(table_, LOGLOG_ISA_NAME) = {
    .name = LOGLOG_TEXT(LOGLOG_ISA_NAME),
    .gemm_f32 = &kGemmF32,
    .gemm_bf16 = &kGemmBf16,
    .gemm_s8 = &kGemmS8,
    .attention = &kAttention,
    .rowwise = &kRowwise,
    .peak = &kPeak,
};

}  // namespace loglog::kernels

#undef LOGLOG_JOIN2
#undef LOGLOG_JOIN
#undef LOGLOG_TEXT2
#undef LOGLOG_TEXT
