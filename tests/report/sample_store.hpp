// The sample sweep in a store.
#pragma once
#include <fmt/format.h>

#include "sample_report.hpp"
#include "sweep/store.hpp"

namespace loglog::report {

inline sweep::RunSpec spec_of(const ReportRun& run, int number) {
  sweep::RunSpec spec;
  spec.identity = fmt::format("{:032x}", number);
  spec.name = run.name;
  spec.size = run.size;
  spec.sweep = "sample";
  spec.config = R"({"data": {"path": "facts.tok"}, "model": {"context": 64}})";
  spec.data_checksum = "00000000000000aa";
  spec.budget = run.budget;
  spec.seed = 1;
  spec.n = run.n;
  spec.d = run.d;
  spec.c = run.c;
  return spec;
}

// A store with the runs of the sample, the second one diverged and the last one still waiting.
inline void fill(sweep::Store& store, const SweepReport& sample) {
  std::vector<sweep::RunSpec> specs;
  for (const ReportRun& run : sample.runs) specs.push_back(spec_of(run, static_cast<int>(specs.size())));
  store.add(specs);
  for (std::size_t i = 0; i + 1 < specs.size(); ++i) {
    sweep::Outcome outcome;
    outcome.end = R"({"epochs": 0.5, "isa": "avx2", "threads": 1})";
    outcome.loss = sample.runs[i].loss;
    outcome.seconds = 2;
    outcome.curve = {{1, 100, 3.0, {}}, {2, 200, 2.5, {}}, {3, 300, 2.4, 2.4}};
    if (i == 1) {
      outcome.state = sweep::State::diverged;
      outcome.loss.reset();
      outcome.error = "loss is NaN in step 90";
    }
    store.import(std::vector<sweep::FinishedRun>{{specs[i], outcome}});
  }
}

}  // namespace loglog::report
