// Runs with real configurations, so that their identity can be computed anew.
#pragma once
#include "model/config.hpp"
#include "model/count.hpp"
#include "runs.hpp"

namespace loglog::sweep {

inline RunSpec real_run(int i) {
  model::RunConfig config;
  config.train.seed = static_cast<std::uint64_t>(i);
  config.data.path = "a, \"b\".tok";
  config.model.vocab = 256;
  config.train.steps = 20;
  RunSpec spec = test_run(i);
  spec.n = model::count_parameters(config.model).n_matrix;
  spec.d = static_cast<double>(config.train.steps * config.train.batch * config.model.context);
  spec.c = spec.d * model::count_flops_per_token(config.model).math;
  spec.config = model::to_json(config);
  spec.identity = model::identity(config, spec.data_checksum);
  return spec;
}

inline Outcome real_result(int i, double seconds) {
  Outcome outcome = done(2.0 + 0.1 * i);
  outcome.seconds = seconds;
  outcome.end = fmt::format(
      R"({{"event":"end","val_loss":{0},"n_total":7,"sources":{{"gcide":{0}}},"seconds":{1},"tokens_per_s":{1}}})",
      *outcome.loss, seconds);
  return outcome;
}

}  // namespace loglog::sweep
