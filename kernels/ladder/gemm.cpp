#include "kernels/ladder/gemm.hpp"

#include <algorithm>

#include "kernels/gemm.hpp"
#include "kernels/gemm_bf16.hpp"
#include "kernels/isa.hpp"
#include "kernels/ladder/gemm/bfloat16.hpp"
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
  const auto bf16_bytes = [&](const KernelTable& of) {
    return rounded_bytes(m, n, k) + gemm_bf16_scratch_bytes(of, threads, m, n, k);
  };
  return std::max({gemm_scratch_bytes(table, threads, m, n, k), bf16_bytes(table),
                   bf16_bytes(select_table(table.float32))});
}

}  // namespace loglog::kernels::ladder
