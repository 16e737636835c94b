// Independent pieces of work on several threads.
#pragma once
#include <functional>

namespace loglog::fit {

// work(i) for i = 0 .. count - 1, in no order. One thread never enters OpenMP. An exception in one piece comes out
// of this call (leaving a parallel region itself would end the program); pieces not yet begun are then dropped.
void for_each_index(int threads, int count, const std::function<void(int)>& work);

}  // namespace loglog::fit
