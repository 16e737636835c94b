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
  return SavedVisitor([prefix = std::string(prefix), &v](std::string_view name, void* now, Index rows,
                                                         Index cols, FloatType type) {
    return v.place_(joined(prefix, name), now, rows, cols, type);
  });
}

MemoryVisitor within(std::string_view prefix, const MemoryVisitor& v) {
  return [prefix = std::string(prefix), &v](std::string_view name, void* now, Index rows,
                                            std::size_t row_bytes) {
    return v(joined(prefix, name), now, rows, row_bytes);
  };
}

FloatView take_matrix(kernels::ScratchFrame& frame, FloatType type, Index rows, Index cols) {
  const auto bytes = static_cast<std::size_t>(rows * cols) * kernels::bytes_of(type);
  return {frame.take<std::byte>(bytes), type, rows, cols, cols};
}

Arena::Arena(std::size_t bytes, Pages pages)
    : block_(pages == Pages::now
                 ? kernels::Block(bytes)
                 : kernels::Block::of_zeros(
                       bytes, pages == Pages::on_use ? kernels::PageSize::huge : kernels::PageSize::usual)),
      capacity_(bytes) {
  if (pages == Pages::now) std::fill_n(block_.as<std::byte>(), bytes, std::byte{});
}

void* Arena::take_bytes(std::size_t wanted) {
  const std::size_t bytes = kernels::round_up_to_cache_line(wanted);
  LOGLOG_CHECK(used_ + bytes <= capacity_, "{} bytes wanted at {}, the arena has {}", bytes, used_,
               capacity_);
  void* const result = block_.as<std::byte>() + used_;
  used_ += bytes;
  return result;
}

}  // namespace loglog::tensor
