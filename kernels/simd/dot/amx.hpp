// Tile registers of AMX: eight of 16 rows of 64 bytes, and the products of whole tiles.
//
// The compiler's own intrinsics are not used: GCC 12 declares too little of what they read and write (the configuration
// is one byte to it, a tile load reads nothing), drops stores before them at -O3, and takes no tile number from a
// template.
#pragma once
#include <cstdint>

#include "kernels/matrix.hpp"

namespace loglog::kernels {
namespace {

struct TileConfig {
  std::uint8_t palette = 1, start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

// What the strips of gemm_amx_tile.hpp are written with; tests give them a model of it in plain C++.
struct AmxTiles {
  static void configure() {
    const TileConfig config;
    asm volatile("ldtilecfg %0" : : "m"(config));
  }
  static void release() { asm volatile("tilerelease"); }

  // Rows `stride` bytes apart.
  template <int TILE>
  [[gnu::always_inline]] void load(const void* p, Index stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(TILE) : "memory");
  }
  // The same for what comes by once: it is not to push others out of L1.
  template <int TILE>
  [[gnu::always_inline]] void load_once(const void* p, Index stride) {
    asm volatile("tileloaddt1 (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(TILE) : "memory");
  }
  template <int TILE>
  [[gnu::always_inline]] void store(void* p, Index stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(stride), "i"(TILE) : "memory");
  }
  template <int TILE>
  [[gnu::always_inline]] void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(TILE));
  }
  // C += A B: 16 groups of 4 bytes; A by rows, B by groups, 16 columns each.
  template <int C, int A, int B>
  [[gnu::always_inline]] void multiply(std::int32_t) {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
  }
  template <int C, int A, int B>
  [[gnu::always_inline]] void multiply(float) {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
  }
};

}  // namespace
}  // namespace loglog::kernels
