// How long the fitter takes where others take minutes, and whether what it then says is right.
//
// Times are CPU seconds of this process on one thread, so that other work on the machine counts little.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "fit/selftest/accuracy.hpp"
#include "fit/selftest/trials.hpp"

namespace loglog::fit {

struct SpeedRow {
  std::string title;
  std::function<std::vector<Judgement>(const Path& data)>
      run;  // the folder of published sweeps; empty: a simulated one of their size
};
const std::vector<SpeedRow>& speed_rows();

// The published 1/11 quantile of the package chinchilla's runs.
std::vector<AccuracyCheck> objective_checks();

}  // namespace loglog::fit
