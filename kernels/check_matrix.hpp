// What drivers require of matrices, whatever they compute; ContractError names the operand and its size.
#pragma once
#include "base/check.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels {

inline void check_size(const char* name, Index rows, Index cols) {
  LOGLOG_CHECK(rows >= 0 && cols >= 0, "{} is {}x{}", name, rows, cols);
}
// Of what is written: in overlapping rows the last thread to come would win. Rows that are only read may overlap or repeat.
inline void check_rows_apart(const char* name, Index rows, Index cols, Index row_stride) {
  LOGLOG_CHECK(rows <= 1 || row_stride >= cols, "{} is {}x{} with row stride {}: its rows overlap", name,
               rows, cols, row_stride);
}
inline void check_count(const char* name, Index n) {
  LOGLOG_CHECK(n >= 0, "{} is {}", name, n);
}

}  // namespace loglog::kernels
