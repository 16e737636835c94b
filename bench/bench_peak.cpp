#include "bench/suites.hpp"

#include <fmt/format.h>

#include "kernels/peak.hpp"

namespace loglog::bench {

namespace {

constexpr double kSampleSeconds = 0.01;

}  // namespace

PeakShare::PeakShare(const kernels::KernelTable& table, int threads, Sample peak)
    : table_(table),
      threads_(threads),
      peak_(peak),
      before_(peak(table, threads, kSampleSeconds)),
      start_(std::chrono::steady_clock::now()) {}

void PeakShare::report(benchmark::State& state, double flops_per_iteration) {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const double peak = (before_ + peak_(table_, threads_, kSampleSeconds)) / 2.0;
  const double rate = flops_per_iteration * static_cast<double>(state.iterations()) / seconds;
  state.counters["FLOP/s"] = rate;
  state.counters["share_of_peak"] = rate / peak;
}

void register_peak(const Machine& machine) {
  const struct {
    const char* name;
    PeakShare::Sample sample;
  } loops[] = {{"peak_fma", kernels::sample_fma_flops},
               {"peak_dot_bf16", kernels::sample_dot_bf16_flops},
               {"peak_dot_s8", kernels::sample_dot_s8_ops}};
  for (int threads = 1; threads <= machine.threads; ++threads) {
    for (const auto& loop : loops) {
      add(fmt::format("{}/{}/threads:{}", loop.name, machine.table.name, threads),
          [=](benchmark::State& state) {
            double best = 0.0;
            for (auto _ : state) best = std::max(best, loop.sample(machine.table, threads, kSampleSeconds));
            state.counters["FLOP/s"] = best;
          });
    }
    for (const std::size_t kib : {16, 256, 8192, 1048576}) {
      add(fmt::format("peak_read/{}/KiB:{}/threads:{}", machine.table.name, kib, threads),
          [=](benchmark::State& state) {
            double best = 0.0;
            for (auto _ : state)
              best = std::max(best, kernels::sample_read_bytes(machine.table, threads, kib * 1024));
            state.counters["bytes/s"] = best;
          });
    }
  }
}

}  // namespace loglog::bench
