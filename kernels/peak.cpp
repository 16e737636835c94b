#include "kernels/peak.hpp"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "base/check.hpp"
#include "kernels/block.hpp"
#include "kernels/parallel.hpp"
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

struct Timed {
  double seconds;  // of the slowest thread
  int team;        // threads that ran: the runtime may give fewer than were asked for
};

// Runs work(thread, repetitions) on all threads at once. work must not throw: no exception can leave a region.
using Work = std::function<void(int thread, Index repetitions)>;
Timed timed(int threads, Index repetitions, const Work& work) {
  Timed result = {0.0, 1};
  if (threads == 1) {
    const auto start = Clock::now();
    work(0, repetitions);
    result.seconds = seconds_since(start);
    return result;
  }
  fix_team_size();
#pragma omp parallel num_threads(threads)
  {
#pragma omp barrier
    const auto start = Clock::now();
    work(omp_get_thread_num(), repetitions);
    const double seconds = seconds_since(start);
#pragma omp critical
    {
      result.seconds = std::max(result.seconds, seconds);
      result.team = omp_get_num_threads();
    }
  }
  return result;
}

// Repetitions per second of all threads together, from a run of about `seconds`.
double rate(int threads, double seconds, const Work& work) {
  Index repetitions = 1;
  Timed taken = timed(threads, repetitions, work);
  while (taken.seconds < seconds / 8) {
    repetitions *= 2;
    taken = timed(threads, repetitions, work);
  }
  repetitions =
      std::max<Index>(1, static_cast<Index>(static_cast<double>(repetitions) * seconds / taken.seconds));
  taken = timed(threads, repetitions, work);
  return static_cast<double>(repetitions) * taken.team / taken.seconds;
}

void check(int threads, double seconds) {
  LOGLOG_CHECK(threads >= 1 && seconds > 0.0, "threads {}, seconds {}", threads, seconds);
}

double sample_loop(const PeakLoop& loop, int threads, double seconds) {
  check(threads, seconds);
  constexpr Index kIterations = 1000;
  const double per_second = rate(threads, seconds, [&](int, Index repetitions) {
    for (Index i = 0; i < repetitions; ++i) keep(loop.run(kIterations));
  });
  return per_second * static_cast<double>(loop.ops_per_iteration * kIterations);
}

// One per thread. Allocated here, where running out of memory is an exception, and first touched by its thread.
std::vector<Block> touched_blocks(int threads, Index floats) {
  std::vector<Block> blocks;
  for (int i = 0; i < threads; ++i) blocks.emplace_back(static_cast<std::size_t>(floats) * sizeof(float));
  timed(threads, 1, [&](int thread, Index) { std::fill_n(blocks[thread].as<float>(), floats, 1.0f); });
  return blocks;
}

Index floats_in(std::size_t bytes) {
  LOGLOG_CHECK(bytes >= 4096, "{} bytes are too few to time", bytes);
  return static_cast<Index>(bytes / sizeof(float));
}

}  // namespace

double sample_fma_flops(const KernelTable& table, int threads, double seconds) {
  return sample_loop(table.peak->fma, threads, seconds);
}

double sample_dot_bf16_flops(const KernelTable& table, int threads, double seconds) {
  return sample_loop(table.peak->dot_bf16, threads, seconds);
}

double sample_dot_s8_ops(const KernelTable& table, int threads, double seconds) {
  return sample_loop(table.peak->dot_s8, threads, seconds);
}

double sample_read_bytes(const KernelTable& table, int threads, std::size_t bytes, double seconds) {
  check(threads, seconds);
  const Index floats = floats_in(bytes);
  const auto blocks = touched_blocks(threads, floats);
  const double per_second = rate(threads, seconds, [&](int thread, Index repetitions) {
    const float* const in = blocks[thread].as<float>();
    for (Index i = 0; i < repetitions; ++i) keep(table.peak->read(in, floats));
  });
  return per_second * static_cast<double>(bytes);
}

double sample_copy_bytes(const KernelTable& table, int threads, std::size_t bytes, double seconds) {
  check(threads, seconds);
  const Index floats = floats_in(bytes);
  const auto from = touched_blocks(threads, floats);
  const auto to = touched_blocks(threads, floats);
  const auto sample = [&](auto copy) {
    return rate(threads, seconds, [&](int thread, Index repetitions) {
      float* const out = to[thread].as<float>();
      for (Index i = 0; i < repetitions; ++i) {
        copy(out, from[thread].as<float>(), floats);
        keep(out[0]);
      }
    });
  };
  const double per_second = std::max(sample(table.peak->copy), sample(table.peak->copy_streamed));
  return 2.0 * per_second * static_cast<double>(bytes);
}

}  // namespace loglog::kernels
