// The tensors of quantized.safetensors, weight by weight. N are a weight's outputs, K its inputs; of a table N are tokens.
//
//   NAME               F32 or BF16, in the shape of the parameter, where it is not quantised
//   NAME.int8          I8  [N,K]
//   NAME.scale         F32 [N]       W[k,j] = scale[j] (int8[j,k] - zero[j])
//   NAME.zero          I32 [N]       of zeropoint schemes; else 0
//   NAME.q8, NAME.q4   U8  [N,K], [N,(K+1)/2]   weights alone, in G groups of inputs: W[k,j] = scale[j,g] (q[j,k] - zero[j,g]); of q4 even
//                                  inputs stand in the lower halves
//   NAME.scale         F32 [N,G], and NAME.zero U8 [N,G], of these
//   NAME.float_rows    I64 [n]       inputs whose weights stay float32, ascending; absent when there are none
//   NAME.float_values  F32 [n,N]     these weights
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "io/safetensors.hpp"
#include "quant/weights.hpp"

namespace loglog::quant {

enum class WeightForm { float32, bf16, int8, groups };

// What is known of a weight's tensors before they are read or made.
struct WeightTensors {
  std::string name;
  Index rows = 0, cols = 0;  // of the parameter
  Role role = Role::other;
  WeightForm form = WeightForm::float32;
  bool has_zeros = false;
  Index float_rows = 0;
  int bits = 8;     // of groups
  Index group = 1;  // inputs of each

  WeightTensors(const model::ParameterShape& p, const Plan& plan, Index float_rows_of_it);
  Index inputs() const { return role == Role::table ? cols : rows; }   // K
  Index outputs() const { return role == Role::table ? rows : cols; }  // N
};

// As many float rows as this file has of a parameter.
Index float_rows_in(const io::SafetensorsFile& file, const std::string& parameter);

// Adds name and shape of each.
void list_tensors(std::vector<io::TensorShape>& list, const WeightTensors& weight);
// Adds each to be written: make() is called once, for the first of them; what it gave is forgotten behind the last. Not for float32.
void add_tensors(std::vector<io::TensorValues>& list, const WeightTensors& weight,
                 std::function<QuantizedWeight()> make);
// The tensor of this name, which was looked for. InputError where it has another type.
const io::TensorEntry& entry_of_type(const io::SafetensorsFile& file, const std::string& name,
                                     io::Dtype dtype);
// Reads them. InputError naming file and tensor of what has another type or values that no quantisation gives.
QuantizedWeight read_tensors(const io::SafetensorsFile& file, const WeightTensors& weight, const Plan& plan);

}  // namespace loglog::quant
