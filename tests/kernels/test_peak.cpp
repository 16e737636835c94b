// Ceilings: the loops compute what they are counted as, and a rate is that of the threads that ran.
#include "kernels/peak.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
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
  alignas(64) float streamed[256] = {};
  peak.copy_streamed(streamed, in.data(), 256);
  REQUIRE(std::count(streamed, streamed + 256, 0.25f) == 256);
  // Every chain has converged to 2.
  const Index chains_times_width = peak.fma.ops_per_iteration / 2;
  REQUIRE(peak.fma.run(100) == 2.0f * static_cast<float>(chains_times_width));
  REQUIRE(sample_fma_flops(test_table(), 2, 1e-4) > 0.0);
}

// Products of blocks of ones are added to zeros: the sum of all sums counts them.
void check_counted(const PeakLoop& loop) {
  for (const Index iterations : {0, 1, 2, 10}) {
    const Index products = iterations * loop.ops_per_iteration / 2;
    REQUIRE(loop.run(iterations) == static_cast<float>(products));
  }
}

// Sums of vector products of so many steps; they start from 1, and an iteration multiplies each by a factor.
void check_grown(const PeakLoop& loop, int steps, float factor) {
  float sums = static_cast<float>(loop.ops_per_iteration) / (2.0f * static_cast<float>(steps));
  for (const Index iterations : {0, 1, 2, 3}) {
    REQUIRE(loop.run(iterations) == sums);
    sums *= factor;
  }
}

TEST_CASE("peak loops of short types multiply as often as they say", "[peak]") {
  const KernelTable& table = test_table();
  const Peak& peak = *table.peak;
  REQUIRE(sample_dot_s8_ops(table, 2, 1e-4) > 0.0);
  REQUIRE(sample_dot_bf16_flops(table, 2, 1e-4) > 0.0);
  // A sum of int8 adds its own value, once, or once for each of two halves of the depth.
  const bool halves = table.gemm_s8->packed_a == PackedA::widened;
  if (table.gemm_s8->depth_multiple == 4)
    check_grown(peak.dot_s8, 4, halves ? 3.0f : 2.0f);
  else
    check_counted(peak.dot_s8);
  if (table.gemm_bf16->packed_a == PackedA::widened) {
    REQUIRE(peak.dot_bf16.run == peak.fma.run);
    REQUIRE(peak.dot_bf16.ops_per_iteration == peak.fma.ops_per_iteration);
  } else if (table.gemm_bf16->depth_multiple == 2) {
    check_grown(peak.dot_bf16, 2, 0.5f);  // subtracts half of itself
  } else {
    check_counted(peak.dot_bf16);
  }
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
  REQUIRE_THROWS_AS(sample_dot_bf16_flops(test_table(), 0), ContractError);
  REQUIRE_THROWS_AS(sample_dot_s8_ops(test_table(), 1, 0.0), ContractError);
  REQUIRE_THROWS_AS(sample_read_bytes(test_table(), 0, 4096), ContractError);
  REQUIRE_THROWS_AS(sample_copy_bytes(test_table(), 1, 4096, 0.0), ContractError);
  REQUIRE_THROWS_AS(sample_copy_bytes(test_table(), 1, 4095), ContractError);
}
