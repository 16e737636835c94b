// One weight of a model in the form that files hold, and what takes its place in a model that runs.
#pragma once
#include <memory>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "kernels/bf16.hpp"
#include "kernels/weight_only.hpp"
#include "model/open_model.hpp"
#include "quant/scheme.hpp"
#include "tensor/frozen_weight.hpp"

namespace loglog::quant {

// As the parameter is, each value rounded to bfloat16.
struct Bf16Values {
  Index rows = 0, cols = 0;
  std::vector<kernels::bf16> values;  // (rows, cols)
};

Bf16Values round_to_bf16(kernels::ConstMatrixRef w);

// A weight (K,N) of a linear layer. Of a table (V,C) the columns are its rows: a column for each token.
using QuantizedWeight = std::variant<Bf16Values, kernels::QuantizedColumns, kernels::GroupedColumns>;

// Rows of a column that share a scale, of a weight with so many.
Index group_of(const Scheme& scheme, Index rows);

// What a parameter is to a scheme: quantised by it, one of the tables, or neither, and then it stays float32.
enum class Role { linear, table, other };
Role role_of(std::string_view parameter);

// InputError naming parameter, row and column of a value that is not finite; w begins at row first_row of the parameter.
void require_finite(kernels::ConstMatrixRef w, std::string_view name, Index first_row = 0);
// InputError, which begins with `what`, for a weight with so many inputs that int8 products could not sum them (kInt8MaxDepth).
void require_int8_depth(Index inputs, std::string_view what);

// W (K,N) by the plan, or a table (V,C); nothing where the plan leaves it float32. Rows of W in float_rows stay float32 in int8
// (kernels/int8.hpp). `name` is for messages. InputError where values are not finite,
// or where int8 has no room for so many inputs.
std::optional<QuantizedWeight> quantize_weight(const kernels::KernelTable& table, const Plan& plan, Role role,
                                               kernels::ConstMatrixRef w, std::span<const Index> float_rows,
                                               std::string_view name);

// Products x w that int8 weights were asked for: of an element of X with each of the N weights that it meets.
struct ProductCounts {
  double all = 0;
  double calibrated = 0;      // in float32 because the input's dimension was found in calibration
  double outliers = 0;        // and because the input itself reached the threshold
  Index most_dimensions = 0;  // that had such inputs in one pass of one weight

  double int8_share() const { return all == 0 ? 0 : 1 - (calibrated + outliers) / all; }
  double calibrated_share() const { return all == 0 ? 0 : calibrated / all; }
  double outlier_share() const { return all == 0 ? 0 : outliers / all; }
};

// To be multiplied on `table`. `counts`, where it is not null, outlives the result and grows with each product.
std::shared_ptr<const tensor::FrozenWeight> freeze(const kernels::KernelTable& table, const Plan& plan,
                                                   Role role, QuantizedWeight weight, ProductCounts* counts);

// The same without the weight, for what there is to know of its size; null where the plan leaves it float32.
std::shared_ptr<const tensor::FrozenWeight> plan_frozen(const kernels::KernelTable& table, const Plan& plan,
                                                        Role role, Index rows, Index cols, Index float_rows);

// A weight as it is, or rounded to bfloat16; and the same without it.
std::shared_ptr<const tensor::FrozenWeight> freeze_floats(const kernels::KernelTable& table,
                                                          kernels::FloatType type, Role role,
                                                          kernels::ConstMatrixRef w);
// The same of a table, whose rows come from `source` a few at a time; `look`, if any, sees them before.
std::shared_ptr<const tensor::FrozenWeight> freeze_table(const kernels::KernelTable& table,
                                                         kernels::FloatType type,
                                                         const model::ParameterSource& source,
                                                         std::string_view name, Index rows, Index cols,
                                                         const model::TakeRows& look = {});
std::shared_ptr<const tensor::FrozenWeight> plan_frozen_floats(const kernels::KernelTable& table,
                                                               kernels::FloatType type, Role role, Index rows,
                                                               Index cols);

}  // namespace loglog::quant
