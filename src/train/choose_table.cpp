#include "train/choose_table.hpp"

#include "kernels/table.hpp"
#include "model/checkpoint.hpp"

namespace loglog::train {

std::string row_of_run(const Path& out) {
  const auto newest = model::CheckpointFolder(real_file_system(), out / model::kCheckpointFolder).newest();
  return newest ? newest->isa : "";
}

const kernels::KernelTable& choose_table(std::string_view forced, std::string_view configured,
                                         std::string_view begun) {
  constexpr std::string_view kAny = "auto";
  for (const std::string_view name : {forced, configured})
    if (!name.empty() && name != kAny) return kernels::select_table(name);
  const kernels::KernelTable& best = kernels::select_table(kAny);
  return begun.empty() || begun == kAny || begun == best.float32 ? best : kernels::select_table(begun);
}

}  // namespace loglog::train
