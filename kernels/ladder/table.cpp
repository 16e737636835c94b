#include "kernels/ladder/table.hpp"

#include <string_view>

#include "base/check.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels::ladder {

#define LOGLOG_LADDER_ROW(name) extern const LadderTable ladder_##name;
#include "built_ladders.inc"
#undef LOGLOG_LADDER_ROW

const LadderTable& ladder_table(const KernelTable& table) {
  static constexpr const LadderTable* kBuilt[] = {
#define LOGLOG_LADDER_ROW(name) &ladder_##name,
#include "built_ladders.inc"
#undef LOGLOG_LADDER_ROW
  };
  const LadderTable* found = nullptr;
  for (const LadderTable* ladder : kBuilt) {
    if (std::string_view(ladder->name) == table.float32) found = ladder;
  }
  LOGLOG_CHECK(found != nullptr, "no ladder for isa {}", table.float32);
  return *found;
}

}  // namespace loglog::kernels::ladder
