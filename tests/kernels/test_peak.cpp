// Ceilings: the loops compute what they are counted as, and a rate is that of the threads that ran.
#include "kernels/peak.hpp"

#include <omp.h>

#include <algorithm>
#include <vector>

#include "base/check.hpp"
#include "kernels/table.hpp"
#include "support/catch.hpp"
#include "support/failing_allocator.hpp"
#include "support/isa.hpp"

using namespace loglog;
using namespace loglog::kernels;

TEST_CASE("peak loops compute what they claim to", "[peak]") {
  const Peak& peak = *test_table().peak;
  std::vector<float> in(4096, 0.25f), out(4096, 0.0f);
  REQUIRE(peak.read(in.data(), 4096) == 1024.0f);
  peak.copy(out.data(), in.data(), 4096);
  REQUIRE(out == in);
  // Every chain has converged to 2.
  const Index chains_times_width = peak.flops_per_iteration / 2;
  REQUIRE(peak.fma(100) == 2.0f * static_cast<float>(chains_times_width));
  REQUIRE(sample_fma_flops(test_table(), 2, 1e-4) > 0.0);
}

TEST_CASE("threads that the runtime does not give are not counted", "[peak]") {
  constexpr int kAsked = 1000;
  const auto best_of_five = [](auto&& sample) {
    double best = 0.0;
    for (int i = 0; i < 5; ++i) best = std::max(best, sample());
    return best;
  };
  const auto fma = [](int threads) { return sample_fma_flops(test_table(), threads, 1e-3); };
  const auto read = [](int threads) { return sample_read_bytes(test_table(), threads, 4096, 1e-3); };
  const auto copy = [](int threads) { return sample_copy_bytes(test_table(), threads, 4096, 1e-3); };
  const int levels = omp_get_max_active_levels();
  omp_set_max_active_levels(0);  // as OMP_MAX_ACTIVE_LEVELS=0: a team of one, whatever is asked for
  // Counted by what was asked for, the rate would be a thousand times too high; no noise of a machine is.
  CHECK(fma(kAsked) < 30 * best_of_five([&] { return fma(1); }));
  CHECK(read(kAsked) < 30 * best_of_five([&] { return read(1); }));
  CHECK(copy(kAsked) < 30 * best_of_five([&] { return copy(1); }));
  omp_set_max_active_levels(levels);
}

TEST_CASE("memory that there is not is an exception, also for several threads", "[peak][allocator]") {
  // One that is thrown inside the region would end the process. A list of buffers and two of them; more for a copy.
  const auto read = [] { sample_read_bytes(test_table(), 2, 4096, 1e-4); };
  const auto copy = [] { sample_copy_bytes(test_table(), 2, 4096, 1e-4); };
  const int failures = fail_each_allocation(read);
  REQUIRE(failures >= 3);
  REQUIRE(fail_each_allocation(copy) > failures);
}

TEST_CASE("broken contracts of the samples", "[peak]") {
  REQUIRE_THROWS_AS(sample_fma_flops(test_table(), 0), ContractError);
  REQUIRE_THROWS_AS(sample_read_bytes(test_table(), 0, 4096), ContractError);
  REQUIRE_THROWS_AS(sample_copy_bytes(test_table(), 1, 4096, 0.0), ContractError);
  REQUIRE_THROWS_AS(sample_copy_bytes(test_table(), 1, 4095), ContractError);
}
