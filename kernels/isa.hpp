// Instruction sets (ISAs), a row of one list each: which were built, which this CPU and operating system can run, and
// which one is used.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace loglog::kernels {

struct KernelTable;

struct IsaRow {
  std::string_view name;     // "scalar", "avx2", "avx512", "neon"
  const KernelTable* table;  // never null
  bool supported;            // by this CPU and this operating system
};

// ISAs that were built, best first. The answer does not change while the process runs.
const std::vector<IsaRow>& isa_rows();

// "auto" or "" gives the best supported ISA. A name that was not built or that this CPU lacks is a UsageError
// that lists what is available: never a silent fallback. The caller passes --isa, else LOGLOG_ISA, else the
// configuration's value.
const KernelTable& select_table(std::string_view name);

}  // namespace loglog::kernels
