// What bench_peers measures: one section per row of the table of targets.
#pragma once
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "bench/peers/contest.hpp"
#include "bench/shapes.hpp"
#include "kernels/ladder/sgemm_library.hpp"
#include "kernels/table.hpp"

namespace loglog::bench {

// What everything is measured with.
struct Session {
  const kernels::KernelTable& table;
  int threads;
  Rounds rounds;
  bool quick;  // fewer shapes
  std::vector<kernels::ladder::SgemmLibrary> blas;
  std::vector<std::string> disagreements;  // results that were not ours, by library and shape
};

struct Row {
  std::string set;  // what a requirement covers: cube, training, ...
  std::string shape;
  ContestResult result;
  std::vector<std::string> notes;  // what a library calls its implementation, or that it has none
};

enum class Measure {
  ratio,
  share,
  rate
};  // to the best counted peer; of the ceiling; ours, in units per second

// Both limits are lower ones.
struct Requirement {
  Measure measure;
  std::function<bool(const Row&)> covers;
  double median = 0.0, each = 0.0;
  std::string not_applicable;  // the reason, where this machine or this choice cannot be asked for it
};

struct Section {
  std::string id, title;
  std::string unit;  // of 1e9 per second
  std::string ceiling;
  std::vector<Requirement> requirements;
  std::vector<Row> rows;
};

// A section's name in --only, and how to fill it. The table of targets, in its order.
struct SectionMaker {
  const char* id;
  const char* what;
  Section (*measure)(Session&);
};
const std::vector<SectionMaker>& section_makers();

Section measure_f32(Session& session);
Section measure_bf16(Session& session);
Section measure_int8(Session& session);
Section measure_one_row(Session& session);
Section measure_llm_int8(Session& session);
Section measure_attention(Session& session);
Section measure_small(Session& session);

double value_of(const Row& row, Measure measure);

}  // namespace loglog::bench
