#include "kernels/ladder/int8.hpp"

#include <algorithm>

#include "kernels/gemm.hpp"
#include "kernels/gemm_s8.hpp"
#include "kernels/isa.hpp"
#include "kernels/ladder/int8/rungs.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels::ladder {

std::vector<Int8Rung> int8_rungs(const KernelTable&) {
  std::vector<Int8Rung> rungs;
  for (const Int8Rung* rung : kInt8Rungs) rungs.push_back(*rung);
  return rungs;
}

std::size_t int8_scratch(const KernelTable& table, int threads, Index m, Index n, Index k) {
  return std::max({gemm_scratch_bytes(table, threads, m, n, k),
                   gemm_s8_scratch_bytes(table, threads, m, n, k),
                   gemm_s8_scratch_bytes(select_table(table.float32), 1, m, n, k),
                   gemm_int8_scratch_bytes(table, threads, m, n, k)});
}

}  // namespace loglog::kernels::ladder
