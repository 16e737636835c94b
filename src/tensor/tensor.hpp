// Views of tensors, and the lists by which a model names, measures and places them.
//
// A tensor here is a float32 matrix with contiguous rows; activations are (B*T, C). Views never own.
// Everything a model needs lives in a few Arenas whose sizes are known before anything runs.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "kernels/exec.hpp"
#include "kernels/matrix.hpp"

namespace loglog::tensor {

using kernels::Index;
using MatrixView = kernels::MatrixRef;
using ConstMatrixView = kernels::ConstMatrixRef;

// Whether AdamW's weight decay applies: to matrices and embeddings, not to biases and gains (the convention of GPT-2).
enum class Decay : bool { no, yes };

// How a parameter starts. Normal values have mean `mean` and standard deviation `sd`; sd == 0 is a constant.
struct Initial {
  float mean = 0.0f;
  float sd = 0.0f;
};

// A trained tensor: its values and the gradient of the loss, same shape (rows, cols). Empty when the
// configuration has no such parameter (a bias that is switched off).
struct Parameter {
  float* value = nullptr;
  float* gradient = nullptr;
  Index rows = 0;
  Index cols = 0;

  Index size() const { return rows * cols; }
  bool empty() const { return size() == 0; }
  ConstMatrixView matrix() const { return {value, rows, cols}; }
  MatrixView d_matrix() const { return {gradient, rows, cols}; }
};

// The visitors that walk the one list of each struct of tensors: v(name, tensor, rows, cols, ...).
using ParameterVisitor =
    std::function<void(std::string_view name, Parameter&, Index rows, Index cols, Decay, Initial)>;
using SavedVisitor = std::function<void(std::string_view name, MatrixView&, Index rows, Index cols)>;

// A visitor that puts "prefix." before every name: within("mlp", v).
ParameterVisitor within(std::string_view prefix, const ParameterVisitor& v);
SavedVisitor within(std::string_view prefix, const SavedVisitor& v);

// Floats that a tensor takes in an arena: rounded up so that the next one starts on a cache line.
constexpr std::size_t arena_floats(Index count) {
  constexpr std::size_t kLine = kernels::kCacheLineBytes / sizeof(float);
  return (static_cast<std::size_t>(count) + kLine - 1) / kLine * kLine;
}

// One 64-byte-aligned block with a bump pointer. Never grows.
class Arena {
 public:
  explicit Arena(std::size_t floats);  // zeroed
  float* take(Index count);            // ContractError when the block is used up
  std::span<float> used() const noexcept { return {block_.as<float>(), used_}; }
  std::size_t bytes() const noexcept { return capacity_ * sizeof(float); }

 private:
  kernels::Block block_;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
};

}  // namespace loglog::tensor
