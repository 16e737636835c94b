// One product against the libraries: results compared first, then timed in turn.
#pragma once
#include "bench/peers/sections.hpp"
#include "kernels/packed_matrix.hpp"

namespace loglog::bench {

// What a call is counted as, and what could be had at best.
struct Yardstick {
  double work;
  std::function<double()> ceiling;
};

// One sample of the clock on the wall; of processor time the best of short ones, of which most are left alone.
double sample(const Session& session, const std::function<double(double seconds)>& ceiling);

// The operations of a product, and a ceiling of kernels/peak.hpp.
using Ceiling = double (*)(const kernels::KernelTable&, int threads, double seconds);
Yardstick operations(const Session& session, const GemmShape& shape, Ceiling ceiling);

// With weights that were packed before, ours is measured with the plain ones as well; the libraries have no such handle.
Row f32_row(Session& session, std::string set, const GemmShape& shape, int threads,
            const Yardstick& yardstick, kernels::Weights weights = kernels::Weights::plain);
Row bf16_row(Session& session, std::string set, const GemmShape& shape, const Yardstick& yardstick);
Row int8_row(Session& session, std::string set, const GemmShape& shape, const Yardstick& yardstick);

}  // namespace loglog::bench
