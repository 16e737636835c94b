#include "cli/cache_type.hpp"

#include <algorithm>
#include <array>

#include "base/check.hpp"

namespace loglog::cli {
namespace {

using kernels::KeyValueType;

struct Named {
  const char* name;
  KeyValueType type;
};
constexpr std::array<Named, 3> kTypes = {
    {{"f32", KeyValueType::float32}, {"bf16", KeyValueType::bfloat16}, {"int8", KeyValueType::int8}}};

}  // namespace

CLI::Option* add_cache_option(CLI::App& verb, std::string& cache) {
  return verb
      .add_option(
          "--cache", cache,
          "keys and values in f32, bf16 or int8 (a scale for each token and head); default: as --precision")
      ->check(CLI::IsMember({kTypes[0].name, kTypes[1].name, kTypes[2].name}));
}

KeyValueType cache_type(const std::string& cache, kernels::FloatType products) {
  if (cache.empty()) return kernels::key_value_type(products);
  const auto found = std::ranges::find(kTypes, std::string_view(cache), &Named::name);
  LOGLOG_CHECK(found != kTypes.end(), "cache '{}'", cache);
  return found->type;
}

std::string_view cache_name(KeyValueType type) {
  return std::ranges::find(kTypes, type, &Named::type)->name;
}

}  // namespace loglog::cli
