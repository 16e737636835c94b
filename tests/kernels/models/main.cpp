// The main of tests whose products run on a model (models.hpp): --model amx|avx_vnni, then Catch2's own options.
#include <cstdio>
#include <string_view>

#include "base/error.hpp"
#include "kernels/isa.hpp"
#include "models/models.hpp"
#include "support/isa.hpp"
#include "support/session.hpp"

namespace {

loglog::kernels::KernelTable table;

}  // namespace

const loglog::kernels::KernelTable& loglog::test_table() {
  return table;
}

int main(int argc, char** argv) {
  using namespace loglog;
  if (argc < 3 || std::string_view(argv[1]) != "--model") {
    std::fprintf(stderr, "usage: %s --model amx|avx_vnni\n", argv[0]);
    return 2;
  }
  const bool amx = std::string_view(argv[2]) == "amx";
  try {
    table = kernels::select_table(amx ? "scalar" : "avx2");
  } catch (const UsageError& error) {
    std::printf("SKIPPED: %s\n", error.what());
    return 77;
  }
  table.gemm_s8 = amx ? &testing::kAmxModelS8 : &testing::kAvxVnniModelS8;
  if (amx) table.gemm_bf16 = &testing::kAmxModelBf16;
  table.peak = amx ? &testing::kAmxModelPeak : &testing::kAvxVnniModelPeak;
  argv[2] = argv[0];
  return testing::run_session(argc - 2, argv + 2);
}
