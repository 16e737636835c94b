#include "quant/scheme_json.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace loglog::quant {
namespace {

constexpr std::string_view kMethods[] = {"bf16", "int8", "weight_only"};
constexpr std::string_view kRanges[] = {"absmax", "zeropoint"};
constexpr std::string_view kScopes[] = {"tensor", "vector"};

[[noreturn]] void refuse(const std::string& file, const std::string& path, std::string_view what) {
  throw InputError(fmt::format("'{}': {} {}", file, path, what));
}

// The number of a text among `names`.
template <class Enum, std::size_t N>
Enum read_enum(const FlatJson& json, const std::string& file, const std::string& path,
               const std::string_view (&names)[N]) {
  const auto* found = std::ranges::find(names, json.text(path));
  if (found == std::end(names))
    refuse(file, path, fmt::format("is '{}', one of {} is known", json.text(path), fmt::join(names, ", ")));
  return static_cast<Enum>(found - names);
}

double read_number(const FlatJson& json, const std::string& file, const std::string& path, double low,
                   double high) {
  const double value = json.real(path);
  if (!(value >= low && value <= high))
    refuse(file, path, fmt::format("is {}, outside {} to {}", value, low, high));
  return value;
}

kernels::Int8Scheme read_int8(const FlatJson& json, const std::string& file, const std::string& path) {
  return {read_enum<kernels::Int8Range>(json, file, path + "/range", kRanges),
          read_enum<kernels::Int8Scope>(json, file, path + "/scope", kScopes)};
}

nlohmann::ordered_json int8_json(const kernels::Int8Scheme& s) {
  return {{"range", kRanges[static_cast<int>(s.range)]}, {"scope", kScopes[static_cast<int>(s.scope)]}};
}

}  // namespace

nlohmann::ordered_json to_json(const Scheme& scheme) {
  nlohmann::ordered_json json = {{"name", scheme.name},
                                 {"method", kMethods[static_cast<int>(scheme.method)]}};
  if (scheme.method == Method::int8) {
    json["inputs"] = int8_json(scheme.inputs);
    json["weights"] = int8_json(scheme.weights);
    if (scheme.decomposes()) json["threshold"] = scheme.threshold;
    json["whole_columns"] = scheme.whole_columns;
    json["migration"] = scheme.migration;
  }
  if (scheme.method == Method::weight_only) {
    json["range"] = kRanges[static_cast<int>(scheme.weights.range)];
    json["bits"] = scheme.bits;
    json["group"] = scheme.group;
  }
  return json;
}

Plan plan_from_json(const FlatJson& json, const std::string& file) {
  Plan plan;
  Scheme& scheme = plan.scheme;
  scheme.name = scheme.title = json.text("scheme/name");
  for (const Scheme& known : schemes())
    if (known.name == scheme.name) scheme.title = known.title;
  scheme.method = read_enum<Method>(json, file, "scheme/method", kMethods);
  if (scheme.method == Method::int8) {
    scheme.inputs = read_int8(json, file, "scheme/inputs");
    scheme.weights = read_int8(json, file, "scheme/weights");
    if (json.contains("scheme/threshold"))
      scheme.threshold = static_cast<float>(read_number(json, file, "scheme/threshold", 1e-30, 3e38));
    scheme.whole_columns = json.flag("scheme/whole_columns");
    scheme.migration = read_number(json, file, "scheme/migration", 0, 1);
  }
  if (scheme.method == Method::weight_only) {
    scheme.weights.range = read_enum<kernels::Int8Range>(json, file, "scheme/range", kRanges);
    const std::int64_t bits = json.whole("scheme/bits");
    if (bits != 4 && bits != 8) refuse(file, "scheme/bits", fmt::format("is {}, 4 and 8 are known", bits));
    scheme.bits = static_cast<int>(bits);
    scheme.group = json.whole("scheme/group");
    if (scheme.group < 0) refuse(file, "scheme/group", fmt::format("is {}", scheme.group));
  }
  plan.table = read_enum<TableForm>(json, file, "table", kTableForms);
  if (!takes_table(scheme, plan.table))
    refuse(
        file, "table",
        "is int8, and the scheme's method weight_only: quantise the model again, with --table f32 or bf16");
  return plan;
}

}  // namespace loglog::quant
