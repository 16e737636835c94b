#include "kernels/weight_only.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "kernels/check_matrix.hpp"
#include "kernels/gemm_f32.hpp"
#include "kernels/pack.hpp"

namespace loglog::kernels {
namespace {

int largest_q(int bits) {
  return (1 << bits) - 1;
}

// Bytes of a column of q.
Index stored_rows(int bits, Index rows) {
  return bits == 4 ? ceil_div(rows, 2) : rows;
}

void check_form(Index rows, Index cols, int bits, Index group) {
  check_size("w", rows, cols);
  LOGLOG_CHECK(bits == 8 || bits == 4, "weights of {} bits: 8 or 4 are expected", bits);
  LOGLOG_CHECK(group >= 1 && group <= std::max<Index>(rows, 1), "groups of {} rows, of {}", group, rows);
}

struct GroupScale {
  float scale;
  int zero;
};

// The nearest integer, ties to even, of |x| < 2^51. std::nearbyint is a call on x86 without SSE4.1.
double nearest_integer(double x) {
  constexpr double kMagic = 0x1.8p52;
  return (x + kMagic) - kMagic;
}

GroupScale choose_scale(GroupRange range, int bits, double low, double high) {
  const int middle = 1 << (bits - 1);
  const bool absmax = range == GroupRange::absmax;
  const double width = absmax ? std::max(-low, high) : high - low;
  if (width < 0x1p-119) return {0.0f, middle};  // float32 would round a smaller scale too much
  const auto scale = static_cast<float>(width / (absmax ? middle - 1 : largest_q(bits)));
  return {scale, absmax ? middle : static_cast<int>(nearest_integer(-low / scale))};
}

// q of the n weights of a group, one in a byte. Quotients of floats are so far from halves that float64 finds their nearest integers.
GroupScale quantize_group(std::uint8_t* q, const float* w, Index n, int bits, GroupRange range) {
  float low = 0.0f, high = 0.0f;
  for (Index k = 0; k < n; ++k) {
    low = std::min(low, w[k]);
    high = std::max(high, w[k]);
  }
  const GroupScale s = choose_scale(range, bits, low, high);
  const int most = largest_q(bits);
  const double scale = s.scale == 0.0f ? 1.0 : s.scale;  // what is next to 0 has q = zero
  for (Index k = 0; k < n; ++k) {
    const int value = static_cast<int>(nearest_integer(w[k] / scale)) + s.zero;
    q[k] = static_cast<std::uint8_t>(std::min(value, most));  // both ends of a zeropoint may be rounded up
  }
  return s;
}

// Columns [first, first + count) one after the other; rows of w are read piece by piece, not element by element.
void copy_columns(float* out, ConstMatrixRef w, Index first, Index count) {
  for (Index k = 0; k < w.rows; ++k) {
    for (Index j = 0; j < count; ++j) {
      const float value = w.data[k * w.row_stride + (first + j) * w.col_stride];
      LOGLOG_CHECK(std::isfinite(value), "W is not finite at row {}, column {}", k, first + j);
      out[j * w.rows + k] = value;
    }
  }
}

// n values, one in a byte, as a file holds them.
void store_column(std::uint8_t* out, const std::uint8_t* q, Index n, int bits) {
  if (bits == 8) {
    std::copy_n(q, n, out);
    return;
  }
  for (Index k = 0; k < n; k += 2)
    out[k / 2] = static_cast<std::uint8_t>(q[k] | (k + 1 < n ? q[k + 1] << 4 : 0));
}

const GroupedColumns& checked(const GroupedColumns& w) {
  check_form(w.rows, w.cols, w.bits, w.group);
  const auto cols = static_cast<std::size_t>(w.cols);
  const std::size_t scales = static_cast<std::size_t>(w.groups()) * cols;
  LOGLOG_CHECK(w.q.size() == static_cast<std::size_t>(stored_rows(w.bits, w.rows)) * cols &&
                   w.scale.size() == scales && w.zero.size() == scales,
               "W is {}x{} of {} bits in groups of {}, with {} bytes, {} scales, {} zeros", w.rows, w.cols,
               w.bits, w.group, w.q.size(), w.scale.size(), w.zero.size());
  for (std::size_t i = 0; i < scales; ++i) {
    LOGLOG_CHECK(std::isfinite(w.scale[i]) && w.zero[i] <= largest_q(w.bits),
                 "scale {} and zero {} of column {}, group {}", w.scale[i], w.zero[i],
                 static_cast<Index>(i) / w.groups(), static_cast<Index>(i) % w.groups());
  }
  return w;
}

std::size_t packed_bytes(int nr, Index rows, Index cols, int bits, Index group) {
  constexpr Index kBytesOfGroup = sizeof(float) + sizeof(std::uint8_t);  // a scale and a zero
  return static_cast<std::size_t>(round_up(cols, nr) *
                                  (stored_rows(bits, rows) + ceil_div(rows, group) * kBytesOfGroup));
}

// Lines of bytes, one of depth behind the other, in panels.
void pack_bytes(std::uint8_t* out, const std::vector<std::uint8_t>& lines, Index count, int nr, Index depth) {
  pack_panels(reinterpret_cast<std::int8_t*>(out),
              LinesView<std::int8_t>{reinterpret_cast<const std::int8_t*>(lines.data()), depth, 1}, count, nr,
              depth, {1, 1});
}

class QuantizedPanels final : public PanelSource {
 public:
  QuantizedPanels(const WeightOnly& kernel, const WeightOnlyMatrix& w)
      : w_(w), rows_(kernel.rows), kernel_(w.bits() == 8 ? kernel.bits_8 : kernel.bits_4) {}

  void unpack(float* panels, Index first, Index depth, Index col, Index cols) const noexcept override {
    const int nr = w_.panel_columns();
    for (Index j = col; j < col + cols; j += nr, panels += depth * nr)
      kernel_.unpack(panels, w_.panel(j), first, depth);
  }
  Index strip_rows() const noexcept override { return rows_; }
  void multiply(const GemmStrip& strip, Index first, Index col) const noexcept override {
    kernel_.strip(strip, w_.panel(col), first);
  }

 private:
  const WeightOnlyMatrix& w_;
  Index rows_;
  const WeightOnlyBits& kernel_;
};

}  // namespace

GroupedColumns quantize_groups(ConstMatrixRef w, int bits, Index group, GroupRange range) {
  check_form(w.rows, w.cols, bits, group);
  constexpr Index kColumns = kCacheLineBytes / sizeof(float);
  GroupedColumns result;
  result.rows = w.rows, result.cols = w.cols, result.bits = bits, result.group = group;
  const Index bytes = stored_rows(bits, w.rows), groups = result.groups();
  result.q.resize(static_cast<std::size_t>(bytes * w.cols));
  result.scale.resize(static_cast<std::size_t>(groups * w.cols));
  result.zero.resize(result.scale.size());
  std::vector<float> columns(static_cast<std::size_t>(kColumns * w.rows));
  std::vector<std::uint8_t> q(static_cast<std::size_t>(w.rows));
  for (Index first = 0; first < w.cols; first += kColumns) {
    const Index count = std::min(kColumns, w.cols - first);
    copy_columns(columns.data(), w, first, count);
    for (Index j = first; j < first + count; ++j) {
      const float* const column = columns.data() + (j - first) * w.rows;
      for (Index g = 0; g < groups; ++g) {
        const Index k = g * group;
        const GroupScale s =
            quantize_group(q.data() + k, column + k, std::min(group, w.rows - k), bits, range);
        result.scale[j * groups + g] = s.scale;
        result.zero[j * groups + g] = static_cast<std::uint8_t>(s.zero);
      }
      store_column(result.q.data() + j * bytes, q.data(), w.rows, bits);
    }
  }
  return result;
}

WeightOnlyMatrix::WeightOnlyMatrix(const KernelTable& table, const GroupedColumns& w)
    : rows_(checked(w).rows), cols_(w.cols), group_(w.group), bits_(w.bits), nr_(table.gemm_f32->nr) {
  const Index columns = round_up(cols_, nr_), bytes = stored_rows(bits_, rows_), groups = w.groups();
  q_ = Block(static_cast<std::size_t>(columns * bytes));
  scale_ = Block(static_cast<std::size_t>(columns * groups) * sizeof(float));
  zero_ = Block(static_cast<std::size_t>(columns * groups));
  pack_bytes(q_.as<std::uint8_t>(), w.q, cols_, nr_, bytes);
  pack_bytes(zero_.as<std::uint8_t>(), w.zero, cols_, nr_, groups);
  pack_panels(scale_.as<float>(), LinesView<float>{w.scale.data(), groups, 1}, cols_, nr_, groups);
}

std::size_t WeightOnlyMatrix::bytes() const {
  return packed_bytes(nr_, rows_, cols_, bits_, group_);
}

std::size_t WeightOnlyMatrix::bytes(const KernelTable& table, Index rows, Index cols, int bits,
                                    Index group) noexcept {
  return packed_bytes(table.gemm_f32->nr, rows, cols, bits, group);
}

QuantizedPanel WeightOnlyMatrix::panel(Index j) const {
  QuantizedPanel panel = {};
  panel.group = group_;
  panel.q = q_.as<std::uint8_t>() + j * stored_rows(bits_, rows_);
  panel.scale = scale_.as<float>() + j * ceil_div(rows_, group_);
  panel.zero = zero_.as<std::uint8_t>() + j * ceil_div(rows_, group_);
  return panel;
}

void WeightOnlyMatrix::copy_column(float* out, Index j) const {
  const QuantizedPanel p = panel(j / nr_ * nr_);
  const Index lane = j % nr_;
  for (Index k = 0; k < rows_; ++k) {
    const Index of_group = k / group_ * nr_ + lane;
    const int q = bits_ == 8 ? p.q[k * nr_ + lane] : p.q[k / 2 * nr_ + lane] >> k % 2 * 4 & 15;
    out[k] = static_cast<float>(q - p.zero[of_group]) * p.scale[of_group];
  }
}

void gemm_weight_only(ExecContext& ctx, ConstMatrixRef a, const WeightOnlyMatrix& w, MatrixRef c,
                      const GemmEpilogue& epilogue) {
  const GemmF32& tile = *ctx.kernels.gemm_f32;
  LOGLOG_CHECK(w.panel_columns() == tile.nr, "w was packed for another table than {}", ctx.kernels.name);
  const QuantizedPanels panels(*ctx.kernels.weight_only, w);
  multiply_f32(ctx, {.kernel = tile, .a = a, .b_source = &panels, .c = c, .epilogue = epilogue}, w.rows(),
               w.cols(), Accumulate::no);
}

std::size_t gemm_weight_only_scratch_bytes(const KernelTable& table, int threads, Index m, Index n, Index k,
                                           LeftFactor a) noexcept {
  return gemm_f32_scratch_bytes(table, threads, m, n, k, RightFactor::source, a);
}

}  // namespace loglog::kernels
