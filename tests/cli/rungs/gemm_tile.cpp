// A solution of docs/ladder/exercises/gemm_tile.cpp.
#include "loglog_rung.hpp"

constexpr int MR = 4;            // rows of the tile
constexpr int NV = 2;            // vectors of a row
constexpr int NR = NV * kWidth;  // columns of the tile

// C[MR, NR] = A[MR, K] B[K, NR]. Element (i, p) of A is a[i * k + p], (p, j) of B is b[p * n + j], (i, j) of C is c[i * n + j].
static void tile(Index n, Index k, const float* a, const float* b, float* c) {
  Vec sums[MR][NV] = {};
  for (Index p = 0; p < k; ++p) {
    for (int i = 0; i < MR; ++i) {
      const Vec a_ip = broadcast(a[i * k + p]);
      for (int v = 0; v < NV; ++v) sums[i][v] += a_ip * load(b + p * n + v * kWidth);
    }
  }
  for (int i = 0; i < MR; ++i) {
    for (int v = 0; v < NV; ++v) store(c + i * n + v * kWidth, sums[i][v]);
  }
}

// What no full tile covers.
static void edge(Index rows, Index columns, Index n, Index k, const float* a, const float* b, float* c) {
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < columns; ++j) {
      float sum = 0.0f;
      for (Index p = 0; p < k; ++p) sum += a[i * k + p] * b[p * n + j];
      c[i * n + j] = sum;
    }
  }
}

void gemm(Index m, Index n, Index k, const float* a, const float* b, float* c) {
  for (Index j = 0; j < n; j += NR) {
    for (Index i = 0; i < m; i += MR) {
      const Index rows = m - i < MR ? m - i : MR, columns = n - j < NR ? n - j : NR;
      if (rows == MR && columns == NR) {
        tile(n, k, a + i * k, b + j, c + i * n + j);
      } else {
        edge(rows, columns, n, k, a + i * k, b + j, c + i * n + j);
      }
    }
  }
}
