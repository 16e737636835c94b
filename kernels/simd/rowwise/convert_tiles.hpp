// Rows of rowwise/convert.hpp: vectors load and store bfloat16 (simd.hpp).
#pragma once
#include "kernels/simd/rowwise/row.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

template <class To, class From>
void convert_rows(Matrix<To> out, ConstMatrix<From> in, Stores stores) noexcept {
  with_stores(stores, out, [&](auto streams) {
    for (Index r = 0; r < in.rows; ++r) {
      const ConstRow<From> x{in.row(r), in.cols};
      const OutputRow<To, decltype(streams)> y{out.row(r), in.cols};
      for_vectors(in.cols, [&](Index j, auto whole) { y.put(j, x.first_at(j, whole), whole); });
    }
  });
}

}  // namespace
}  // namespace loglog::kernels
