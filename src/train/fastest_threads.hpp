// How many threads train a configuration fastest here. Results do not depend on it.
#pragma once
#include "kernels/exec.hpp"
#include "model/config.hpp"

namespace loglog::train {

// Times a few steps with `most` threads, half of them, and so on while that is faster: small models, slow cores beside fast ones and
// two threads of one core make fewer better. Nothing is measured where `most` is 1 or the run is so short that the answer would cost
// more than a hundredth of it: then `most`. Errors as bench_steps().
int fastest_threads(const model::RunConfig& config, const kernels::KernelTable& table, int most);

}  // namespace loglog::train
