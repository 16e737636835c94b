#include "predict/store_table.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "sweep/table.hpp"

namespace loglog::predict {

RunCount count_runs(const sweep::Store& store, const std::string& sweep) {
  using sweep::State;
  RunCount runs;
  for (const auto& [state, count] : store.counts(sweep)) {
    runs.all += count;
    if (state == State::queued || state == State::running || state == State::checkpointed)
      runs.unfinished += count;
  }
  return runs;
}

fit::Table table_of(const sweep::Store& store, const std::string& sweep) {
  const std::string& path = store.path().native();
  const RunCount runs = count_runs(store, sweep);
  if (runs.all > 0 && runs.unfinished == runs.all)
    throw RefusedError(
        fmt::format("{} has no finished run among its {}; `loglog sweep status {}` says how far it is", path,
                    runs.all, path));
  fit::Table table = fit::Table::parse_csv(sweep::export_csv(store, sweep::Timing::no), path);
  table.name_rows("name");
  std::vector<int> members;  // without runs that no sweep file has any longer
  for (int row = 0; row < table.rows(); ++row) {
    const std::string& of = table.texts("sweep")[static_cast<std::size_t>(row)];
    if (sweep.empty() ? !of.empty() : of == sweep) members.push_back(row);
  }
  return table.select(members);
}

}  // namespace loglog::predict
