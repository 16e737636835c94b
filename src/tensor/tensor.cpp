#include "tensor/tensor.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace loglog::tensor {

namespace {

std::string joined(std::string_view prefix, std::string_view name) {
  return std::string(prefix).append(".").append(name);
}

}  // namespace

ParameterVisitor within(std::string_view prefix, const ParameterVisitor& v) {
  return [prefix = std::string(prefix), &v](std::string_view name, Parameter& parameter, Index rows,
                                            Index cols, Decay decay, Initial initial) {
    v(joined(prefix, name), parameter, rows, cols, decay, initial);
  };
}

SavedVisitor within(std::string_view prefix, const SavedVisitor& v) {
  return [prefix = std::string(prefix), &v](std::string_view name, MatrixView& view, Index rows, Index cols) {
    v(joined(prefix, name), view, rows, cols);
  };
}

Arena::Arena(std::size_t floats) : block_(floats * sizeof(float)), capacity_(floats) {
  std::fill_n(block_.as<float>(), floats, 0.0f);  // touches every page now, not in the first step
}

float* Arena::take(Index count) {
  const std::size_t floats = arena_floats(count);
  LOGLOG_CHECK(used_ + floats <= capacity_, "{} floats wanted at {}, the arena has {}", floats, used_,
               capacity_);
  float* result = block_.as<float>() + used_;
  used_ += floats;
  return result;
}

}  // namespace loglog::tensor
