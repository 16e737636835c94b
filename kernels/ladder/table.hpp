// The rungs that need the vectors of an ISA, as constant data: one table per ISA, compiled from
// kernels/simd/ladder/ladder_table.cpp beside the table of its kernels and under the same leaf rule.
#pragma once
#include "kernels/ladder/attention.hpp"
#include "kernels/ladder/gemm.hpp"

namespace loglog::kernels::ladder {

template <class T>
struct List {
  const T* first;
  int count;
  const T* begin() const { return first; }
  const T* end() const { return first + count; }
};

struct LadderTable {
  const char* name;  // of the ISA
  List<GemmRung> gemm;
  List<AttentionRung> attention;
};

// The one whose vectors are those of the float32 kernels of `table`.
const LadderTable& ladder_table(const KernelTable& table);

}  // namespace loglog::kernels::ladder
