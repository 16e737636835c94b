// A model of VPDPBUSD on 256 bits, made of instructions that AVX2 has.
#include "kernels/simd/gemm_packed_tile.hpp"
#include "kernels/simd/peak_loops.hpp"
#include "models/models.hpp"

namespace loglog::testing {
namespace {

// The products of half of the bytes, in pairs: neighbouring pairs of them belong to one lane.
__m256i pairs(__m128i a, __m128i b) {
  return _mm256_madd_epi16(_mm256_cvtepu8_epi16(a), _mm256_cvtepi8_epi16(b));
}

struct DpbusdModel {
  static __m256i dpbusd(__m256i sum, __m256i a, __m256i b) {
    const __m256i low = pairs(_mm256_castsi256_si128(a), _mm256_castsi256_si128(b));
    const __m256i high = pairs(_mm256_extracti128_si256(a, 1), _mm256_extracti128_si256(b, 1));
    // Sums of neighbours, in each half of the register: 0 1 4 5 | 2 3 6 7.
    const __m256i lanes = _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0b11011000);
    return _mm256_add_epi32(sum, lanes);
  }
};

}  // namespace

extern const kernels::GemmS8 kAvxVnniModelS8;
constinit const kernels::GemmS8 kAvxVnniModelS8 = kernels::packed_gemm<kernels::UnsignedS8<DpbusdModel>>();
extern const kernels::Peak kAvxVnniModelPeak;
constinit const kernels::Peak kAvxVnniModelPeak =
    kernels::peak_of(kernels::kFmaLoop, kernels::dot_loop<kernels::UnsignedS8<DpbusdModel>>());

}  // namespace loglog::testing
