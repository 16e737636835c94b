// The table of one instruction set. CMake compiles this file once per ISA (loglog_add_isa) with its flags.
//
// Leaf rule: this object defines its table and no other symbol that a linker sees, uses no library function but memcpy
// and memset, and has no static initialiser. Two ISAs may hold the same function under different flags; a weak symbol
// would let the linker pick the one that this CPU cannot run. What kernels/simd defines is therefore in anonymous
// namespaces; the few functions of headers that drivers share (matrix.hpp, bf16.hpp) are small enough to be inlined, of
// which only ctest structure.isa_symbols, which reads the objects, can be sure.
#include "kernels/table.hpp"

#include "kernels/simd/attention/attention.hpp"
#include "kernels/simd/gemm_packed_tile.hpp"
#include "kernels/simd/gemm_tile.hpp"
#include "kernels/simd/int8_tiles.hpp"
#include "kernels/simd/isa_name.hpp"
#include "kernels/simd/peak_loops.hpp"
#include "kernels/simd/rowwise/rowwise_table.hpp"
#include "kernels/simd/weight_only_tiles.hpp"

namespace loglog::kernels {
namespace {

constinit const GemmBf16 kGemmBf16 = packed_gemm<WidenedBf16>();
constinit const GemmS8 kGemmS8 = packed_gemm<PortableS8>();
// bfloat16 that is widened is multiplied as float32.
constinit const Peak kPeak = peak_of(kFmaLoop, dot_loop<PortableS8>());

}  // namespace

extern const KernelTable LOGLOG_ISA_TABLE;
constinit const KernelTable LOGLOG_ISA_TABLE = {
    .name = LOGLOG_ISA_TEXT,
    .float32 = LOGLOG_ISA_TEXT,
    .gemm_f32 = &kGemmF32,
    .gemm_f32_in_place = &kGemmF32InPlace,
    .gemm_bf16 = &kGemmBf16,
    .gemm_s8 = &kGemmS8,
    .attention = &kAttention,
    .attention_rows = &kAttentionRows,
    .rowwise = &kRowwise,
    .int8 = &kInt8,
    .weight_only = &kWeightOnly,
    .peak = &kPeak,
};

}  // namespace loglog::kernels
