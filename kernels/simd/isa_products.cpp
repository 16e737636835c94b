// The products of short types of an instruction set that extends another (loglog_add_isa BASE): its PROVIDES
// and its ceilings, nothing else.
// CMake compiles this file once per such ISA with its base's flags and its own. Leaf rule as in isa_table.cpp.
#include "kernels/simd/isa_name.hpp"
#include "kernels/simd/peak_loops.hpp"
#include "kernels/table.hpp"

#if defined(__AMX_TILE__) || defined(__AMXTILE__)  // clang 14's name
#define LOGLOG_AMX
#include "kernels/simd/dot/amx.hpp"
#include "kernels/simd/gemm_amx_tile.hpp"
#elif defined(__ARM_FEATURE_MATMUL_INT8)
#include "kernels/simd/gemm_i8mm_tile.hpp"
#else
#include "kernels/simd/gemm_packed_tile.hpp"
#endif

#if defined(LOGLOG_PROVIDES_attention_rows)
#include "kernels/simd/attention/rows.hpp"
#endif

namespace loglog::kernels {
namespace {

#if defined(LOGLOG_PROVIDES_gemm_bf16)
#if defined(LOGLOG_AMX)
constinit const GemmBf16 kOwnBf16 = amx_gemm<AmxTiles, bf16, float>();
#else
constinit const GemmBf16 kOwnBf16 = packed_gemm<NativeBf16>();
#endif
constexpr const GemmBf16* kGemmBf16 = &kOwnBf16;
#else
constexpr const GemmBf16* kGemmBf16 = nullptr;
#endif

#if defined(LOGLOG_PROVIDES_gemm_s8)
#if defined(LOGLOG_AMX)
constinit const GemmS8 kOwnS8 = amx_gemm<AmxTiles, std::int8_t, std::int32_t>();
#elif defined(__ARM_FEATURE_MATMUL_INT8)
constinit const GemmS8 kOwnS8 = i8mm_gemm();
#else
constinit const GemmS8 kOwnS8 = packed_gemm<NativeS8>();
#endif
constexpr const GemmS8* kGemmS8 = &kOwnS8;
#else
constexpr const GemmS8* kGemmS8 = nullptr;
#endif

#if defined(LOGLOG_PROVIDES_attention_rows)
constexpr const AttentionRows* kOwnAttentionRows = &kAttentionRows;
#else
constexpr const AttentionRows* kOwnAttentionRows = nullptr;
#endif

// The ceilings of what this ISA and its bases multiply with. All that extend another have a native product of int8.
#if defined(LOGLOG_AMX)
constinit const Peak kPeak = peak_of(amx_loop<AmxTiles, float>(), amx_loop<AmxTiles, std::int32_t>());
#elif defined(__ARM_FEATURE_MATMUL_INT8)
constinit const Peak kPeak = peak_of(kFmaLoop, i8mm_loop());
#elif defined(LOGLOG_PROVIDES_gemm_bf16)
constinit const Peak kPeak = peak_of(dot_loop<NativeBf16>(), dot_loop<NativeS8>());
#else
constinit const Peak kPeak = peak_of(kFmaLoop, dot_loop<NativeS8>());
#endif

}  // namespace

extern const KernelTable LOGLOG_ISA_TABLE;
constinit const KernelTable LOGLOG_ISA_TABLE = {
    .name = LOGLOG_ISA_TEXT,
    .float32 = nullptr,
    .gemm_f32 = nullptr,
    .gemm_f32_in_place = nullptr,
    .gemm_bf16 = kGemmBf16,
    .gemm_s8 = kGemmS8,
    .attention = nullptr,
    .attention_rows = kOwnAttentionRows,
    .rowwise = nullptr,
    .int8 = nullptr,
    .weight_only = nullptr,
    .peak = &kPeak,
};

}  // namespace loglog::kernels
