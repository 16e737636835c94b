// The benchmarks of this program, one function per file. Names follow the form
// gemm_f32/avx512/M:512/N:512/K:512/threads:1/real_time.
#pragma once
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "kernels/peak.hpp"
#include "kernels/table.hpp"

namespace loglog::bench {

struct Machine {
  const kernels::KernelTable& table;
  int threads;  // largest number of threads to measure
};

// Sets the counters FLOP/s and share_of_peak (of the peak that was sampled before and after the loop in this
// very run, so that a slow minute of the machine slows both).
class PeakShare {
 public:
  using Sample = double (*)(const kernels::KernelTable&, int threads, double seconds);
  PeakShare(const kernels::KernelTable& table, int threads, Sample peak = kernels::sample_fma_flops);
  void report(benchmark::State& state, double flops_per_iteration);

 private:
  const kernels::KernelTable& table_;
  int threads_;
  Sample peak_;
  double before_;
  std::chrono::steady_clock::time_point start_;
};

// Registers body(state) under `name`, timed by the wall clock, with the minimum beside median and spread.
template <class Body>
void add(const std::string& name, Body body) {
  benchmark::RegisterBenchmark(name.c_str(), body)
      ->UseRealTime()
      ->ComputeStatistics("min",
                          [](const std::vector<double>& v) { return *std::min_element(v.begin(), v.end()); });
}

void register_attention(const Machine& machine);
void register_attention_cache(const Machine& machine);
void register_gemm(const Machine& machine);
void register_gemm_packed(const Machine& machine);
void register_int8(const Machine& machine);
void register_peak(const Machine& machine);
void register_rowwise(const Machine& machine);
void register_weight_only(const Machine& machine);

}  // namespace loglog::bench
