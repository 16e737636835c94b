// Matrix products of oneDNN. Its threads are OpenMP's, of the same runtime as ours.
#pragma once
#include <functional>
#include <string>

#include "kernels/matrix.hpp"

namespace loglog::bench {

// plain: operands as they lie. packed: b is reordered once into the format that the library asks for.
enum class OneDnnWeights { plain, packed };
enum class OneDnnType { f32, bf16, s8, u8, s32 };

struct OneDnnMatrix {
  const void* data;
  kernels::Index rows, cols, row_stride, col_stride;
  OneDnnType type;
};
template <class T>
OneDnnMatrix onednn_matrix(const kernels::ConstMatrix<T>& m, OneDnnType type) {
  return {m.data, m.rows, m.cols, m.row_stride, m.col_stride, type};
}

struct OneDnnProduct {
  std::function<void()>
      run;  // empty when the library has no such product; else it keeps what it needs, not a, b, c
  std::string implementation;  // the library's name of it
};

// C = A B for as many threads as OpenMP gives now.
OneDnnProduct onednn_product(const OneDnnMatrix& a, const OneDnnMatrix& b, const OneDnnMatrix& c,
                             OneDnnWeights weights);

std::string onednn_version();

}  // namespace loglog::bench
