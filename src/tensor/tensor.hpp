// Views of tensors, and the lists by which a model names, measures and places them.
//
// A tensor here is a matrix with contiguous rows, float32 or, where a layer says so, bfloat16; activations are (B*T, C). Views
// never own.
// Everything a model needs lives in a few Arenas whose sizes are known before anything runs.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "kernels/exec.hpp"
#include "kernels/float_matrix.hpp"
#include "kernels/matrix.hpp"

namespace loglog::tensor {

class FrozenWeight;

using kernels::Index;
using MatrixView = kernels::MatrixRef;
using ConstMatrixView = kernels::ConstMatrixRef;
using kernels::FloatType;
using FloatView = kernels::FloatMatrix;  // of either type
using ConstFloatView = kernels::ConstFloatMatrix;

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
  std::shared_ptr<const FrozenWeight> frozen = nullptr;  // what it is instead of the two

  Index size() const { return rows * cols; }
  bool empty() const { return size() == 0; }
  ConstMatrixView matrix() const { return {value, rows, cols}; }
  MatrixView d_matrix() const { return {gradient, rows, cols}; }
};

// The visitors that walk the one list of each struct of tensors: v(name, tensor, rows, cols, ...).
using ParameterVisitor =
    std::function<void(std::string_view name, Parameter&, Index rows, Index cols, Decay, Initial)>;
class SavedVisitor {
 public:
  // Says where a tensor lies from now on, given where it does.
  using Place = std::function<void*(std::string_view name, void* now, Index rows, Index cols, FloatType)>;
  explicit SavedVisitor(Place place) : place_(std::move(place)) {}

  void operator()(std::string_view name, MatrixView& view, Index rows, Index cols) const {
    view = {static_cast<float*>(place_(name, view.data, rows, cols, FloatType::float32)), rows, cols};
  }
  void operator()(std::string_view name, FloatView& view, Index rows, Index cols, FloatType type) const {
    view = {place_(name, view.data, rows, cols, type), type, rows, cols, cols};
  }

 private:
  friend SavedVisitor within(std::string_view prefix, const SavedVisitor& v);
  Place place_;
};

// Says where what is remembered of `rows` tokens lies from now on, `row_bytes` of each, given where it does.
using MemoryVisitor =
    std::function<void*(std::string_view name, void* now, Index rows, std::size_t row_bytes)>;

// A visitor that puts "prefix." before every name: within("mlp", v).
ParameterVisitor within(std::string_view prefix, const ParameterVisitor& v);
SavedVisitor within(std::string_view prefix, const SavedVisitor& v);
MemoryVisitor within(std::string_view prefix, const MemoryVisitor& v);

// Bytes that a tensor takes in an arena: rounded up so that the next one starts on a cache line.
constexpr std::size_t arena_bytes(Index count, FloatType type = FloatType::float32) {
  return kernels::round_up_to_cache_line(static_cast<std::size_t>(count) * kernels::bytes_of(type));
}

// A matrix in scratch.
FloatView take_matrix(kernels::ScratchFrame& frame, FloatType type, Index rows, Index cols);
inline MatrixView take_matrix(kernels::ScratchFrame& frame, Index rows, Index cols) {
  return {frame.take<float>(static_cast<std::size_t>(rows * cols)), rows, cols};
}

// When an arena takes the memory that it may need: at once, so that no step of training waits for it, or page by page as it is
// written, where much of it may never be; in usual pages (kernels/block.hpp) where it is written a little in many places.
enum class Pages { now, on_use, usual_on_use };

// One 64-byte-aligned block with a bump pointer. Never grows.
class Arena {
 public:
  explicit Arena(std::size_t bytes, Pages pages = Pages::now);  // zeroed
  // ContractError when the block is used up.
  void* take_bytes(std::size_t bytes);
  void* take(Index count, FloatType type) {
    return take_bytes(static_cast<std::size_t>(count) * kernels::bytes_of(type));
  }
  float* take(Index count) { return static_cast<float*>(take(count, FloatType::float32)); }
  // Where the next tensor will lie, and a return to there: what was taken since is given back.
  std::size_t mark() const noexcept { return used_; }
  void rewind(std::size_t mark) noexcept { used_ = mark; }
  // Of an arena of float32 alone.
  std::span<float> used() const noexcept { return {block_.as<float>(), used_ / sizeof(float)}; }
  std::size_t bytes() const noexcept { return capacity_; }

 private:
  kernels::Block block_;
  std::size_t capacity_ = 0;  // bytes
  std::size_t used_ = 0;
};

}  // namespace loglog::tensor
