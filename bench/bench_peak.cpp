#include "bench/suites.hpp"

#include <fmt/format.h>

#include "kernels/peak.hpp"

namespace loglog::bench {

PeakShare::PeakShare(const kernels::KernelTable& table, int threads)
    : table_(table),
      threads_(threads),
      before_(kernels::sample_fma_flops(table, threads)),
      start_(std::chrono::steady_clock::now()) {}

void PeakShare::report(benchmark::State& state, double flops_per_iteration) {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const double peak = (before_ + kernels::sample_fma_flops(table_, threads_)) / 2.0;
  const double rate = flops_per_iteration * static_cast<double>(state.iterations()) / seconds;
  state.counters["FLOP/s"] = rate;
  state.counters["share_of_peak"] = rate / peak;
}

void register_peak(const Machine& machine) {
  for (int threads = 1; threads <= machine.threads; ++threads) {
    add(fmt::format("peak_fma/{}/threads:{}", machine.table.name, threads), [=](benchmark::State& state) {
      double best = 0.0;
      for (auto _ : state) best = std::max(best, kernels::sample_fma_flops(machine.table, threads));
      state.counters["FLOP/s"] = best;
    });
    for (const std::size_t kib : {16, 256, 8192, 262144}) {
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
