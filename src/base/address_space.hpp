// What a limit of the shell (`ulimit -v`) leaves.
#pragma once
#include <cstddef>

namespace loglog {

// Bytes of address space that RLIMIT_AS still leaves this process; the largest number where it sets no limit. Mapped files take
// of it too.
std::size_t address_space_left();

}  // namespace loglog
