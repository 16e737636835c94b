// One product against the libraries: results compared first, then timed in turn.
#pragma once
#include "bench/peers/sections.hpp"

namespace loglog::bench {

// What a call is counted as, and what could be had at best.
struct Yardstick {
  double work;
  std::function<double()> ceiling;
};

Row f32_row(Session& session, std::string set, const GemmShape& shape, int threads,
            const Yardstick& yardstick);
Row bf16_row(Session& session, std::string set, const GemmShape& shape, const Yardstick& yardstick);
Row int8_row(Session& session, std::string set, const GemmShape& shape, const Yardstick& yardstick);

}  // namespace loglog::bench
