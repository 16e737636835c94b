// The main of tests that run once per ISA: --isa NAME, then Catch2's own options. An ISA that
// this CPU lacks is skipped with return code 77, unless LOGLOG_REQUIRE_ISA ("avx2,scalar") says that it must run.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "kernels/isa.hpp"
#include "support/isa.hpp"
#include "support/session.hpp"

namespace {

constexpr int kSkipped = 77;

std::string chosen = "auto";

bool required(std::string_view isa) {
  const char* list = std::getenv("LOGLOG_REQUIRE_ISA");
  const std::string names = "," + std::string(list == nullptr ? "" : list) + ",";
  return names.find("," + std::string(isa) + ",") != std::string::npos;
}

}  // namespace

const loglog::kernels::KernelTable& loglog::test_table() {
  return kernels::select_table(chosen);
}

int main(int argc, char** argv) {
  std::vector<char*> rest;
  for (int i = 0; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--isa" && i + 1 < argc) {
      chosen = argv[++i];
    } else {
      rest.push_back(argv[i]);
    }
  }
  try {
    loglog::test_table();
  } catch (const loglog::UsageError& error) {
    std::printf("%s: %s\n", required(chosen) ? "FAILED, LOGLOG_REQUIRE_ISA names it" : "SKIPPED",
                error.what());
    return required(chosen) ? 1 : kSkipped;
  }
  return loglog::testing::run_session(static_cast<int>(rest.size()), rest.data());
}
