// What a rung of your own includes. It stands alone, and `loglog ladder` carries a copy: nothing has to be installed.
//
//   loglog ladder gemm --header > loglog_rung.hpp       for your editor
//   loglog ladder gemm --with my_rung.cpp               compiles, tests, times and plots
//
// Define one of the functions below, that of the ladder you climb. C++20, -O3, the vector flags of the ISA that is measured,
// and OpenMP with as many threads as --threads says.
#pragma once
#include <cstdint>
#include <cstring>

using Index = std::int64_t;

extern "C" {
// C[M,N] = A[M,K] B[K,N]. All three row by row without gaps: A[i,p] is a[i * k + p]. Any size from 1 on; c holds NaN at first.
void gemm(Index m, Index n, Index k, const float* a, const float* b, float* c);

// out = softmax(Q K' / sqrt(D)) V for each of `heads` heads, one behind the other, each `time` rows of `size` floats. Causal:
// row t sees keys 0 .. t.
void attention(Index heads, Index time, Index size, const float* q, const float* k, const float* v,
               float* out);

// C[M,N] = A[M,K] B[K,N] with both rounded to int8 at a scale of your choice; no error larger than that of one scale each.
void int8(Index m, Index n, Index k, const float* a, const float* b, float* c);
}

// A vector as wide as the ISA has them. + - * / work on all lanes; a * b + c becomes one fused instruction.
#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif
using Vec [[gnu::vector_size(kWidth * sizeof(float))]] = float;

inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, Vec v) {
  std::memcpy(p, &v, sizeof v);
}
inline Vec broadcast(float x) {
  return x - Vec{};
}
