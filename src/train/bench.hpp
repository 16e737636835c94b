// How fast a configuration trains.
#pragma once
#include <map>
#include <string_view>

#include "data/token_file.hpp"
#include "kernels/exec.hpp"
#include "model/config.hpp"

namespace loglog::train {

struct BenchResult {
  double seconds_per_step = 0;  // median
  double tokens_per_s = 0;
  double flops_per_s = 0;  // flops_mfu
  // Mean seconds of a step by family of kernels (kernels/profile.hpp) and, as "rest", outside them.
  std::map<std::string_view, double> seconds;
};

inline constexpr model::Index kBenchWarmUp = 2;  // first touch of memory, caches, the thread team

// Times `steps` steps of a full batch, after kBenchWarmUp that are not counted. Writes nothing.
BenchResult bench_steps(const model::RunConfig& config, const data::TokenFile& file,
                        const kernels::KernelTable& table, int threads, model::Index steps);

}  // namespace loglog::train
