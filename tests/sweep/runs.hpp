// Runs for tests of the store: they have an identity and a place in the queue, and nothing to train.
#pragma once
#include <fmt/format.h>

#include <vector>

#include "sweep/store.hpp"

namespace loglog::sweep {

inline RunSpec test_run(int i) {
  RunSpec spec;
  spec.identity = fmt::format("{:032x}", i + 1);
  spec.sweep = std::string(1, 't');
  spec.name = fmt::format("run-{}", i);
  spec.size = std::string(1, 'a');
  spec.config = fmt::format("{{}}");
  spec.data_checksum = fmt::format("{:016x}", 123);
  spec.seed = i;
  spec.n = 1000;
  spec.d = 1e6;
  spec.c = 1e9 + i;
  return spec;
}

inline std::vector<RunSpec> test_runs(int count) {
  std::vector<RunSpec> runs;
  for (int i = 0; i < count; ++i) runs.push_back(test_run(i));
  return runs;
}

inline Outcome done(double loss) {
  Outcome outcome;
  outcome.loss = loss;
  outcome.seconds = 1;
  outcome.end = fmt::format(R"({{"status":"done","val_loss":{}}})", loss);
  outcome.curve = {{1, 100, 5.0, std::nullopt}, {2, 200, 4.0, loss}};
  return outcome;
}

}  // namespace loglog::sweep
