// A model of AMX's tiles: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, TDPBSSD and TDPBF16PS.
#include <cmath>
#include <cstring>

#include "kernels/simd/gemm_amx_tile.hpp"
#include "kernels/simd/peak_loops.hpp"
#include "models/models.hpp"

namespace loglog::testing {
namespace {

using kernels::bf16;
using kernels::Index;

// Subnormal operands and results count as zero, of the same sign.
float flushed(float x) {
  return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x;
}

// Whether this thread has configured its tiles: without, the instructions fault.
thread_local bool configured = false;

class TilesModel {
 public:
  static void configure() { configured = true; }
  static void release() { configured = false; }

  template <int TILE>
  void load(const void* p, Index stride) {
    check();
    for (int i = 0; i < 16; ++i) std::memcpy(bytes_[TILE][i], static_cast<const char*>(p) + i * stride, 64);
  }
  template <int TILE>
  void load_once(const void* p, Index stride) {
    load<TILE>(p, stride);
  }
  template <int TILE>
  void store(void* p, Index stride) {
    check();
    for (int i = 0; i < 16; ++i) std::memcpy(static_cast<char*>(p) + i * stride, bytes_[TILE][i], 64);
  }
  template <int TILE>
  void zero() {
    check();
    std::memset(bytes_[TILE], 0, sizeof bytes_[TILE]);
  }
  template <int C, int A, int B>
  void multiply(std::int32_t) {
    check();
    const auto a = elements<std::int8_t>(A), b = elements<std::int8_t>(B);
    auto c = elements<std::int32_t>(C);
    for (int i = 0; i < 16; ++i)
      for (int q = 0; q < 16; ++q)
        for (int j = 0; j < 16; ++j)
          for (int r = 0; r < 4; ++r)
            c.at[i][j] = static_cast<std::int32_t>(
                static_cast<std::uint32_t>(c.at[i][j]) +
                static_cast<std::uint32_t>(a.at[i][4 * q + r] * b.at[q][4 * j + r]));
    std::memcpy(bytes_[C], c.at, sizeof bytes_[C]);
  }
  // Even and odd products are summed apart, then added to each other and to C.
  template <int C, int A, int B>
  void multiply(float) {
    check();
    const auto a = elements<bf16>(A), b = elements<bf16>(B);
    auto c = elements<float>(C);
    for (int i = 0; i < 16; ++i) {
      for (int j = 0; j < 16; ++j) {
        float sums[2] = {};
        for (int q = 0; q < 16; ++q)
          for (int r = 0; r < 2; ++r)
            sums[r] = flushed(std::fma(flushed(to_float(a.at[i][2 * q + r])),
                                       flushed(to_float(b.at[q][2 * j + r])), sums[r]));
        c.at[i][j] = flushed(flushed(c.at[i][j]) + flushed(sums[0] + sums[1]));
      }
    }
    std::memcpy(bytes_[C], c.at, sizeof bytes_[C]);
  }

 private:
  template <class T>
  struct Elements {
    T at[16][64 / sizeof(T)];
  };
  template <class T>
  Elements<T> elements(int tile) const {
    Elements<T> e;
    std::memcpy(e.at, bytes_[tile], sizeof e.at);
    return e;
  }
  static void check() {
    if (!configured) __builtin_trap();
  }
  std::uint8_t bytes_[8][16][64];
};

}  // namespace

extern const kernels::GemmBf16 kAmxModelBf16;
constinit const kernels::GemmBf16 kAmxModelBf16 = kernels::amx_gemm<TilesModel, bf16, float>();
extern const kernels::GemmS8 kAmxModelS8;
constinit const kernels::GemmS8 kAmxModelS8 = kernels::amx_gemm<TilesModel, std::int8_t, std::int32_t>();
extern const kernels::Peak kAmxModelPeak;
constinit const kernels::Peak kAmxModelPeak =
    kernels::peak_of(kernels::amx_loop<TilesModel, float>(), kernels::amx_loop<TilesModel, std::int32_t>());

}  // namespace loglog::testing
