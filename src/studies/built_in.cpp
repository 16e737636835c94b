#include "studies/built_in.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"

namespace loglog::studies {
namespace {

struct Config {
  std::string_view name, text;
};
constexpr Config kConfigs[] = {
#include "study_configs.inc"
};

}  // namespace

std::string_view built_in_config(std::string_view name) {
  return find_named("study", name, kConfigs, &Config::name).text;
}

std::vector<std::string_view> built_in_sweeps(std::string_view study, std::string_view effort) {
  std::vector<std::string_view> names;
  for (const Config& config : kConfigs) {
    const bool of_study = config.name.starts_with(study) && config.name.substr(study.size()).starts_with('-');
    if (of_study && config.name.ends_with(fmt::format("-{}", effort))) names.push_back(config.name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace loglog::studies
