// Which instruction-set row a run is trained with.
#pragma once
#include <string>
#include <string_view>

#include "base/file.hpp"
#include "kernels/isa.hpp"
#include "model/config.hpp"

namespace loglog::train {

// The row that the newest checkpoint of the run in `out` was made with; empty when there is none. Rows differ in
// the last bits, so a run keeps the one that it began with.
std::string row_of_run(const Path& out);

// The first of these that names a row: `forced` (the command line or the environment), `configured`
// (train.isa), `begun` (what a run or sweep that goes on began with); else the best one here. "" and "auto"
// name none. `begun` is the row of float32 (KernelTable::float32): where the best one here has its bits in float32, as it had when
// the run began, that is taken, for its products of bfloat16. UsageError when this program or machine lacks the row.
const kernels::KernelTable& choose_table(std::string_view forced, std::string_view configured,
                                         std::string_view begun = "");

}  // namespace loglog::train
