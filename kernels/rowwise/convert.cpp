#include "kernels/rowwise/convert.hpp"

#include "kernels/profile.hpp"
#include "kernels/rowwise/rows.hpp"

namespace loglog::kernels {
namespace {

template <class T>
void copy_rows(Matrix<T> out, ConstMatrix<T> in) {
  for (Index r = 0; r < in.rows; ++r) std::copy_n(in.row(r), in.cols, out.row(r));
}

}  // namespace

void convert(ExecContext& ctx, const FloatMatrix& out, const ConstFloatMatrix& in) {
  const Timed timed(ctx, KernelFamily::convert);
  check_shape("out", out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  const Rowwise& rowwise = *ctx.kernels.rowwise;
  const Stores stores = stores_for(out);
  const bool from_float = in.type == FloatType::float32, to_float = out.type == FloatType::float32;
  for_pieces(ctx, in.rows, in.cols, [&](Index r, Index n) {
    if (from_float && to_float) {
      copy_rows(rows_of(out.as<float>(), r, n), rows_of(in.as<float>(), r, n));
    } else if (from_float) {
      rowwise.narrow(rows_of(out.as<bf16>(), r, n), rows_of(in.as<float>(), r, n), stores);
    } else if (to_float) {
      rowwise.widen(rows_of(out.as<float>(), r, n), rows_of(in.as<bf16>(), r, n), stores);
    } else {
      copy_rows(rows_of(out.as<bf16>(), r, n), rows_of(in.as<bf16>(), r, n));
    }
  });
}

}  // namespace loglog::kernels
