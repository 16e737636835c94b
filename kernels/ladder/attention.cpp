#include "kernels/ladder/attention.hpp"

#include <algorithm>

#include "kernels/attention.hpp"
#include "kernels/ladder/attention/rungs.hpp"
#include "kernels/ladder/table.hpp"

namespace loglog::kernels::ladder {

std::vector<AttentionRung> attention_rungs(const KernelTable& table) {
  const List<AttentionRung> vector_rungs = ladder_table(table).attention;
  std::vector<AttentionRung> rungs(vector_rungs.begin(), vector_rungs.end());
  for (const AttentionRung* rung : kPlainAttentionRungs) rungs.push_back(*rung);
  std::ranges::sort(rungs, {}, [](const AttentionRung& rung) { return rung.info.number; });
  return rungs;
}

std::size_t attention_scratch(const KernelTable& table, int threads, Index heads, Index time, Index size) {
  return attention_scratch_bytes(table, threads, {heads, time, 1, size});
}

}  // namespace loglog::kernels::ladder
