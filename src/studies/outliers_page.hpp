// Tables and pictures of the study `outliers`.
#pragma once
#include "studies/outliers_measures.hpp"

namespace loglog::studies {

// All that was measured.
struct OutlierFindings {
  struct Zeroed {
    std::size_t run;  // of the ladder
    eval::Zeroing zeroing;
  };
  std::vector<LadderRun> ladder;
  std::vector<Zeroed> zeroed;       // of the largest size
  NullCounts untrained;             // of the largest size
  std::vector<NullCounts> rotated;  // of each run of the ladder
  std::vector<FactorRun> factors;
  std::vector<std::string> diverged;  // runs of the factors

  const LadderRun& largest() const;  // the first of the largest size
  Rungs rungs() const;
};

void add_page(const OutlierFindings& found, const Manifest& manifest, std::uint64_t seed, Result& result);

}  // namespace loglog::studies
