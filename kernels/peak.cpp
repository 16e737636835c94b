#include "kernels/peak.hpp"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "base/check.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Where results go that nobody reads.
void keep(float value) {
  asm volatile("" : : "x"(value) : "memory");
}

// Runs work(thread, repetitions) on all threads at once and returns the seconds of the slowest.
using Work = std::function<void(int thread, Index repetitions)>;
double timed(int threads, Index repetitions, const Work& work) {
  if (threads == 1) {
    const auto start = Clock::now();
    work(0, repetitions);
    return seconds_since(start);
  }
  double slowest = 0.0;
#pragma omp parallel num_threads(threads)
  {
#pragma omp barrier
    const auto start = Clock::now();
    work(omp_get_thread_num(), repetitions);
    const double seconds = seconds_since(start);
#pragma omp critical
    slowest = std::max(slowest, seconds);
  }
  return slowest;
}

// Repetitions per second, from a run of about `seconds`.
double rate(int threads, double seconds, const Work& work) {
  LOGLOG_CHECK(threads >= 1 && seconds > 0.0, "threads {}, seconds {}", threads, seconds);
  Index repetitions = 1;
  double taken = timed(threads, repetitions, work);
  while (taken < seconds / 8) {
    repetitions *= 2;
    taken = timed(threads, repetitions, work);
  }
  repetitions = std::max<Index>(1, static_cast<Index>(static_cast<double>(repetitions) * seconds / taken));
  return static_cast<double>(repetitions) / timed(threads, repetitions, work);
}

// One buffer per thread, first touched by its thread.
std::vector<std::vector<float>> touched_buffers(int threads, std::size_t bytes) {
  LOGLOG_CHECK(bytes >= 4096, "{} bytes are too few to time", bytes);
  std::vector<std::vector<float>> buffers(static_cast<std::size_t>(threads));
  timed(threads, 1, [&](int thread, Index) { buffers[thread].assign(bytes / sizeof(float), 1.0f); });
  return buffers;
}

}  // namespace

double sample_fma_flops(const KernelTable& table, int threads, double seconds) {
  constexpr Index kIterations = 1000;
  const Peak& peak = *table.peak;
  const double per_second = rate(threads, seconds, [&](int, Index repetitions) {
    for (Index i = 0; i < repetitions; ++i) keep(peak.fma(kIterations));
  });
  return per_second * static_cast<double>(peak.flops_per_iteration * kIterations * threads);
}

double sample_read_bytes(const KernelTable& table, int threads, std::size_t bytes, double seconds) {
  const auto buffers = touched_buffers(threads, bytes);
  const double per_second = rate(threads, seconds, [&](int thread, Index repetitions) {
    const std::vector<float>& in = buffers[thread];
    for (Index i = 0; i < repetitions; ++i) keep(table.peak->read(in.data(), static_cast<Index>(in.size())));
  });
  return per_second * static_cast<double>(bytes) * threads;
}

double sample_copy_bytes(const KernelTable& table, int threads, std::size_t bytes, double seconds) {
  const auto from = touched_buffers(threads, bytes);
  auto to = touched_buffers(threads, bytes);
  const double per_second = rate(threads, seconds, [&](int thread, Index repetitions) {
    const std::vector<float>& in = from[thread];
    for (Index i = 0; i < repetitions; ++i) {
      table.peak->copy(to[thread].data(), in.data(), static_cast<Index>(in.size()));
      keep(to[thread][0]);
    }
  });
  return 2.0 * per_second * static_cast<double>(bytes) * threads;
}

}  // namespace loglog::kernels
