// Times the rungs of a ladder, interleaved with each other and with the peak of the machine.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/ladder_guest.hpp"
#include "kernels/ladder/ladder.hpp"
#include "kernels/table.hpp"

namespace loglog::cli {

struct MeasuredRung {
  kernels::ladder::RungInfo info;
  std::string name;     // of the file, for a guest
  std::string missing;  // why it cannot run here; empty when it was measured
  int threads = 1;
  kernels::Index parts = 0;    // that were computed: fewer than all for a slow rung
  double flops = 0;            // per second, median
  double spread = 0;           // half of largest minus smallest, relative to the median
  double share = 0;            // of the best peak of as many threads, sampled between the rungs
  double intensity = 0;        // FLOPs per byte of compulsory traffic, of all parts
  std::optional<double> gain;  // over the last rung that was measured before
  std::string remark;          // on its result
  double expected = 0;         // gain; 0 for none
};

struct Ceilings {
  int threads;
  double fma_flops, read_bytes;  // per second
};

struct LadderResult {
  std::vector<kernels::Index> size;
  kernels::Index parts;
  std::vector<MeasuredRung> rungs;
  std::vector<Ceilings> ceilings;  // of one thread, and of all when there are more
};

struct MeasureOptions {
  int threads;
  int repetitions;
  double seconds;  // that one sample of one rung should take at most
};

// Checks every rung before any is timed: Error names the first that is wrong. `guest` may be null. `progress` is told what comes
// next.
LadderResult measure(const kernels::KernelTable& table, const kernels::ladder::LadderKind& kind,
                     const std::vector<kernels::Index>& size, const MeasureOptions& options, Guest* guest,
                     const std::string& guest_name,
                     const std::function<void(const std::string& doing)>& progress);

}  // namespace loglog::cli
