// Schemes by which the linear layers of a model are quantised. Adding one is an entry in scheme.cpp.
//
// Sources: Dettmers, Lewis, Belkada, Zettlemoyer 2022, LLM.int8(), sections 2 and 3 and table 1; Xiao et al. 2023, SmoothQuant,
// equation 4; for int4 in groups Frantar et al. 2023, GPTQ, section 4.
#pragma once
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/int8.hpp"

namespace loglog::quant {

using kernels::Index;

enum class Method {
  bf16,         // both factors rounded to bfloat16: no quantisation
  int8,         // both factors in int8, outliers in float32
  weight_only,  // the weight in a few bits, its products in float32
};

struct Scheme {
  std::string name;   // "llm-int8"
  std::string title;  // as in table 1 of the paper
  Method method = Method::int8;
  // int8
  kernels::Int8Scheme inputs, weights;
  float threshold = std::numeric_limits<float>::infinity();  // |x| from which an input is an outlier
  bool whole_columns = false;  // as published: an outlier takes its dimension of the whole call into float32
  double migration = 0;        // SmoothQuant's alpha; 0 migrates nothing
  // weight only, by the range in `weights`
  int bits = 8;
  Index group = 0;  // rows of a column that share a scale; 0: all

  // Whether the result of a row depends on the other rows of its pass.
  bool depends_on_batch() const {
    return method == Method::int8 && (inputs.scope == kernels::Int8Scope::tensor || whole_columns);
  }
  bool decomposes() const {
    return method == Method::int8 && threshold < std::numeric_limits<float>::infinity();
  }
};

std::span<const Scheme> schemes();

// UsageError with the nearest name for one that does not exist.
const Scheme& find_scheme(std::string_view name);

// In which form the token embedding and the head, which share one table in a tied model, are kept.
enum class TableForm { f32, bf16, int8 };
inline constexpr std::string_view kTableForms[] = {"f32", "bf16", "int8"};

// Weights alone: an int8 table would not be, since its product quantises what the head takes.
inline bool takes_table(const Scheme& scheme, TableForm table) {
  return scheme.method != Method::weight_only || table != TableForm::int8;
}

// How a model is quantised. The scheme takes the table.
struct Plan {
  Scheme scheme;
  TableForm table = TableForm::f32;
};

}  // namespace loglog::quant
