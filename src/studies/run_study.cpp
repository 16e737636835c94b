#include <fmt/format.h>

#include "base/processors.hpp"
#include "studies/page.hpp"
#include "studies/shown_command.hpp"

namespace loglog::studies {

std::optional<Result> run_study(const Study& study, Manifest manifest, const Workplace& workplace) {
  const auto effort = kEfforts[static_cast<int>(workplace.effort)];
  manifest.take_effort(std::string(effort));
  std::optional<Result> result = study.run(manifest, workplace);
  if (!result) return std::nullopt;
  result->study = study.name, result->title = study.title, result->effort = effort;
  result->manifest_hash = manifest.hash(effort), result->exploratory = manifest.exploratory();
  if (!workplace.command.empty())
    result->facts.insert(result->facts.begin(),
                         fmt::format("made by `{}`", shown_command(workplace.command)));
  result->facts.push_back(
      fmt::format("{} threads of {}, {}", workplace.threads, processor_name(), workplace.table->name));
  judge(result->findings, result->controls);
  write_page(real_file_system(), workplace.folder, *result);
  return result;
}

}  // namespace loglog::studies
