#include "kernels/key_values.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/check_matrix.hpp"
#include "kernels/int8_scale.hpp"
#include "kernels/profile.hpp"
#include "kernels/rowwise/convert.hpp"
#include "kernels/rowwise/float_operands.hpp"

namespace loglog::kernels {
namespace {

// What a thread needs beside the operands.
struct HeadRoom {
  const float* limits;  // (D) infinite: nothing finite is an outlier
  std::uint8_t* marks;  // (D)
};

void quantize_head(const Int8& kernel, std::int8_t* out, const float* x, Index size, const HeadRoom& room) {
  std::fill_n(room.marks, size, std::uint8_t{0});
  const LineScale line =
      choose_scale(Int8Range::absmax, kernel.inlier_range(x, room.limits, size, room.marks));
  kernel.quantize(out, x, room.limits, size, line.inverse, line.zero);
  const bool finite = std::all_of(room.marks, room.marks + size, [](std::uint8_t mark) { return mark == 0; });
  const float scale = finite ? line.scale : std::numeric_limits<float>::quiet_NaN();
  std::memcpy(out + size, &scale, sizeof scale);
}

std::size_t marks_bytes(Index head_size) {
  return round_up_to_cache_line(static_cast<std::size_t>(head_size));
}

void quantize_heads(ExecContext& ctx, const KeyValueMatrix& out, const ConstFloatMatrix& in,
                    Index head_size) {
  const FloatOperands<0, 1> operands(ctx, {}, {in});
  ScratchFrame frame(ctx.scratch);
  float* const limits = frame.take<float>(static_cast<std::size_t>(head_size));
  std::fill_n(limits, head_size, std::numeric_limits<float>::infinity());
  const std::size_t each = marks_bytes(head_size);
  auto* const marks = frame.take<std::uint8_t>(each * static_cast<std::size_t>(ctx.threads));
  const Index stride = head_stride(out.type, head_size), heads = in.cols / head_size;
  for_pieces(ctx, in.rows, in.cols, [&](Index piece, Index piece_rows, int thread) {
    const HeadRoom room = {limits, marks + each * static_cast<std::size_t>(thread)};
    operands.run(piece, piece_rows, thread,
                 [&](Index first, Index count, const auto&, const auto& x, Stores) {
                   for (Index r = 0; r < count; ++r) {
                     auto* const row = static_cast<std::int8_t*>(out.data) + (first + r) * out.row_stride;
                     for (Index h = 0; h < heads; ++h)
                       quantize_head(*ctx.kernels.int8, row + h * stride, x[0].row(r) + h * head_size,
                                     head_size, room);
                   }
                 });
  });
}

}  // namespace

void store_key_values(ExecContext& ctx, const KeyValueMatrix& out, const ConstFloatMatrix& in,
                      Index head_size) {
  LOGLOG_CHECK(head_size > 0 ? in.cols % head_size == 0 : in.cols == 0, "heads of {} in {} columns",
               head_size, in.cols);
  LOGLOG_CHECK(out.rows == in.rows && out.cols == in.cols, "out is {}x{}, in {}x{}", out.rows, out.cols,
               in.rows, in.cols);
  if (out.type != KeyValueType::int8) {
    const FloatType type = out.type == KeyValueType::float32 ? FloatType::float32 : FloatType::bfloat16;
    return convert(ctx, {out.data, type, out.rows, out.cols, out.row_stride}, in);
  }
  const Timed timed(ctx, KernelFamily::convert);
  check_shape("in", in, in.rows, in.cols);
  if (head_size == 0) return;
  check_rows_apart("out", out.rows, in.cols / head_size * head_stride(out.type, head_size), out.row_stride);
  quantize_heads(ctx, out, in, head_size);
}

std::size_t store_key_values_scratch_bytes(int threads, Index cols, Index head_size) noexcept {
  const auto floats = static_cast<std::size_t>(threads * staged_room(cols) + head_size);
  return round_up_to_cache_line(floats * sizeof(float)) + kCacheLineBytes +
         static_cast<std::size_t>(threads) * marks_bytes(head_size);
}

}  // namespace loglog::kernels
