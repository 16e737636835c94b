#include "studies/built_in.hpp"

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

}  // namespace loglog::studies
