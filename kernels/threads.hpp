// How many threads there really are for the drivers of this library.
#pragma once

namespace loglog::kernels {

// The size of the team that OpenMP gives to one who asks for `asked` threads. It is smaller where the environment says
// so (OMP_THREAD_LIMIT, OMP_MAX_ACTIVE_LEVELS=0) or inside another parallel region. Results do not depend on it;
// reports, rates and memory plans do, so who states a number of threads states this one. Starts the team; 1 never
// enters the OpenMP runtime. ContractError for asked < 1.
int usable_threads(int asked);

}  // namespace loglog::kernels
