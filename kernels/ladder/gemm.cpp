#include "kernels/ladder/gemm.hpp"

#include <algorithm>

#include "kernels/gemm.hpp"
#include "kernels/gemm_bf16.hpp"
#include "kernels/isa.hpp"
#include "kernels/ladder/gemm/rungs.hpp"
#include "kernels/ladder/table.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels::ladder {

std::vector<GemmRung> gemm_rungs(const KernelTable& table) {
  const List<GemmRung> vector_rungs = ladder_table(table).gemm;
  std::vector<GemmRung> rungs(vector_rungs.begin(), vector_rungs.end());
  for (const GemmRung* rung : kPlainGemmRungs) rungs.push_back(*rung);
  std::ranges::sort(rungs, {}, [](const GemmRung& rung) { return rung.info.number; });
  return rungs;
}

std::size_t gemm_scratch(const KernelTable& table, int threads, Index m, Index n, Index k) {
  return std::max({gemm_scratch_bytes(table, threads, m, n, k),
                   gemm_bf16_scratch_bytes(table, threads, m, n, k),
                   gemm_bf16_scratch_bytes(select_table(table.float32), threads, m, n, k)});
}

}  // namespace loglog::kernels::ladder
