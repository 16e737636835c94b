#include "quant/scheme.hpp"

#include "base/error.hpp"

namespace loglog::quant {
namespace {

using kernels::Int8Range;
using kernels::Int8Scheme;
using kernels::Int8Scope;

constexpr float kThreshold = 6.0f;  // LLM.int8(), section 3.2
constexpr Index kGroup = 64;        // of int4
constexpr double kMigration = 0.5;  // SmoothQuant, section 4

Scheme int8(std::string name, std::string title, Int8Range range, Int8Scope inputs, Int8Scope weights,
            float threshold = std::numeric_limits<float>::infinity()) {
  Scheme scheme;
  scheme.name = std::move(name), scheme.title = std::move(title);
  scheme.inputs = {range, inputs}, scheme.weights = {range, weights};
  scheme.threshold = threshold;
  return scheme;
}

Scheme paper(Scheme scheme) {
  scheme.name += "-paper", scheme.title += ", whole dimensions";
  scheme.whole_columns = true;
  return scheme;
}

Scheme weight_only(std::string name, std::string title, Int8Range range, int bits, Index group) {
  Scheme scheme;
  scheme.name = std::move(name), scheme.title = std::move(title);
  scheme.method = Method::weight_only;
  scheme.weights.range = range;
  scheme.bits = bits, scheme.group = group;
  return scheme;
}

std::vector<Scheme> make_schemes() {
  constexpr auto absmax = Int8Range::absmax, zeropoint = Int8Range::zeropoint;
  constexpr auto tensor = Int8Scope::tensor, vector = Int8Scope::vector;
  Scheme bf16;
  bf16.name = "bf16", bf16.title = "bfloat16", bf16.method = Method::bf16;
  Scheme smooth = int8("smoothquant", "SmoothQuant, vector-wise", absmax, vector, vector);
  smooth.migration = kMigration;
  const Scheme llm = int8("llm-int8", "LLM.int8() absmax", absmax, vector, vector, kThreshold);
  const Scheme llm_zeropoint =
      int8("llm-int8-zeropoint", "LLM.int8() zeropoint", zeropoint, vector, vector, kThreshold);
  return {
      bf16,
      int8("absmax-tensor", "Int8 absmax", absmax, tensor, tensor),
      int8("zeropoint-tensor", "Int8 zeropoint", zeropoint, tensor, tensor),
      int8("absmax-row", "Int8 absmax row-wise", absmax, vector, tensor),
      int8("zeropoint-row", "Int8 zeropoint row-wise", zeropoint, vector, tensor),
      int8("absmax-vector", "Int8 absmax vector-wise", absmax, vector, vector),
      int8("zeropoint-vector", "Int8 zeropoint vector-wise", zeropoint, vector, vector),
      int8("row-decomposition", "Int8 absmax row-wise + decomposition", absmax, vector, tensor, kThreshold),
      llm,
      llm_zeropoint,
      paper(llm),
      paper(llm_zeropoint),
      smooth,
      weight_only("weight-int8", "Weights alone in int8", absmax, 8, 0),
      weight_only("weight-int4", "Weights alone in int4, groups", zeropoint, 4, kGroup)};
}

}  // namespace

std::span<const Scheme> schemes() {
  static const std::vector<Scheme> all = make_schemes();
  return all;
}

const Scheme& find_scheme(std::string_view name) {
  return find_named("scheme", name, schemes(), &Scheme::name);
}

}  // namespace loglog::quant
