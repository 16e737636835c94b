#include "kernels/rowwise/rotary.hpp"

#include <cmath>

#include "kernels/profile.hpp"
#include "kernels/rowwise/float_operands.hpp"

namespace loglog::kernels {
namespace {

void rotate(ExecContext& ctx, const FloatMatrix& out, const ConstFloatMatrix& in,
            const std::int32_t* positions, const Rotary& rotary, float direction) {
  const Timed timed(ctx, KernelFamily::rotary);
  check_shape("out", out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  check_shape("cos", rotary.cos, rotary.cos.rows, rotary.cos.cols);
  check_shape("sin", rotary.sin, rotary.cos.rows, rotary.cos.cols);
  LOGLOG_CHECK(rotary.head_size >= 1 && in.cols % rotary.head_size == 0,
               "{} columns are not heads of {} elements", in.cols, rotary.head_size);
  LOGLOG_CHECK(2 * rotary.cos.cols <= rotary.head_size, "{} pairs in a head of {} elements", rotary.cos.cols,
               rotary.head_size);
  for (Index r = 0; r < in.rows; ++r) {
    LOGLOG_CHECK(positions[r] >= 0 && positions[r] < rotary.cos.rows,
                 "position {} of row {} is outside 0..{}", positions[r], r, rotary.cos.rows - 1);
  }
  const RotaryHeads heads = {rotary.head_size, rotary.cos, rotary.sin, direction};
  const Rowwise& rowwise = *ctx.kernels.rowwise;
  const auto tile =
      rotary.pairing == RotaryPairing::interleaved ? rowwise.rotary_interleaved : rowwise.rotary_halves;
  for_float_rows<1, 1>(ctx, {out}, {in}, [&](Index r, Index, const auto& y, const auto& x, Stores stores) {
    tile(y[0], x[0], positions + r, heads, stores);
  });
}

}  // namespace

void rotary_tables(MatrixRef cos, MatrixRef sin, double base) {
  check_shape("cos", cos, cos.rows, cos.cols);
  check_shape("sin", sin, cos.rows, cos.cols);
  LOGLOG_CHECK(base > 0.0, "base is {}", base);
  for (Index i = 0; i < cos.cols; ++i) {
    const double frequency = std::pow(base, -static_cast<double>(i) / static_cast<double>(cos.cols));
    for (Index p = 0; p < cos.rows; ++p) {
      cos.row(p)[i] = static_cast<float>(std::cos(static_cast<double>(p) * frequency));
      sin.row(p)[i] = static_cast<float>(std::sin(static_cast<double>(p) * frequency));
    }
  }
}

void rotary_forward(ExecContext& ctx, const FloatMatrix& out, const ConstFloatMatrix& in,
                    const std::int32_t* positions, const Rotary& rotary) {
  rotate(ctx, out, in, positions, rotary, 1.0f);
}

void rotary_backward(ExecContext& ctx, const FloatMatrix& d_in, const ConstFloatMatrix& d_out,
                     const std::int32_t* positions, const Rotary& rotary) {
  rotate(ctx, d_in, d_out, positions, rotary, -1.0f);
}

}  // namespace loglog::kernels
