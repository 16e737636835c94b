// The ISA that this test program was started for (--isa NAME, default auto). Only in programs
// that CMake's loglog_isa_test registers.
#pragma once
#include "kernels/table.hpp"

namespace loglog {

const kernels::KernelTable& test_table();

}  // namespace loglog
