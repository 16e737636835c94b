#include "studies/built_in.hpp"

#include <vector>

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
  std::vector<std::string_view> names;
  for (const Config& config : kConfigs) {
    if (config.name == name) return config.text;
    names.push_back(config.name);
  }
  throw_unknown_name("study", name, names);
}

}  // namespace loglog::studies
