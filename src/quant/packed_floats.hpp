// A model's own weights, packed once for their products: what runs where nothing is quantised. Every result has the bits of a Gpt that
// keeps its weights as parameters.
#pragma once
#include "model/open_model.hpp"

namespace loglog::quant {

// `type` is that of the model's products: linear layers are kept in it. Tables are packed in float32; with products of bfloat16 the
// Gpt keeps them itself, since it looks tokens up in float32. `parameters` outlives the result.
model::Freeze packed_floats(const kernels::KernelTable& table, model::FloatType type,
                            const model::ParameterSource& parameters);
// The same for Gpt::plan.
model::Freeze planned_floats(const kernels::KernelTable& table, model::FloatType type);

}  // namespace loglog::quant
