// Instructions that neither this CPU nor an emulator may have, in plain C++: packing, tiles and edges around them are the
// library's own. Only the encoding of the instruction is then left untested.
#pragma once
#include "kernels/table.hpp"

namespace loglog::testing {

extern const kernels::GemmBf16 kAmxModelBf16;
extern const kernels::GemmS8 kAmxModelS8;
extern const kernels::Peak kAmxModelPeak;
extern const kernels::GemmS8 kAvxVnniModelS8;
extern const kernels::Peak kAvxVnniModelPeak;

}  // namespace loglog::testing
