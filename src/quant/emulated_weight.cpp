#include "quant/emulated_weight.hpp"

#include <xxhash.h>

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "base/rng.hpp"
#include "kernels/gemm.hpp"
#include "kernels/rowwise/convert.hpp"
#include "kernels/rowwise/sums.hpp"
#include "kernels/table.hpp"
#include "quant/planned_weight.hpp"

namespace loglog::quant {
namespace {

using kernels::ConstMatrixRef;
using kernels::ExecContext;
using kernels::KernelTable;
using kernels::MatrixRef;

// One element that errs: `exact` was rounded to `rounded`.
float in_error(RoundingError error, float exact, float rounded, float scale, const Rng& noise,
               std::uint64_t index) {
  if (error == RoundingError::rounding) return rounded;
  return exact + scale * static_cast<float>(noise.uniform(index) - 0.5);
}

void add_power(double& sum, double& predicted, float exact, float erred, float scale) {
  const double difference = static_cast<double>(erred) - exact;
  sum += difference * difference;
  predicted += static_cast<double>(scale) * scale / 12;
}

class EmulatedWeight final : public tensor::FrozenWeight {
 public:
  EmulatedWeight(const KernelTable& table, const Scheme& scheme, ConstMatrixRef w, const Emulation& emulation,
                 ErrorPower* power)
      : scheme_(scheme),
        emulation_(emulation),
        rows_(w.rows),
        cols_(w.cols),
        limits_(static_cast<std::size_t>(w.rows), scheme.threshold),
        power_(power) {
    LOGLOG_CHECK(can_emulate(scheme), "{} is not emulated", scheme.name);
    LOGLOG_CHECK(emulation.dimensions.empty() || emulation.dimensions.size() == limits_.size(),
                 "{} dimensions of {}", emulation.dimensions.size(), w.rows);
    take_weights(table, w);
    for (const Index k : emulation.float_rows) limits_[static_cast<std::size_t>(k)] = 0;
  }

  void multiply(ExecContext& ctx, const tensor::FloatView& out, const tensor::ConstFloatView& in,
                const kernels::GemmEpilogue& epilogue) const override {
    kernels::ScratchFrame frame(ctx.scratch);
    const MatrixRef x = tensor::take_matrix(frame, in.rows, rows_),
                    c = tensor::take_matrix(frame, in.rows, cols_);
    kernels::convert(ctx, x, in);
    if (emulation_.inputs) disturb(ctx, x);
    kernels::gemm(ctx, x, {weights_.data(), rows_, cols_}, c, kernels::Accumulate::no, epilogue);
    kernels::convert(ctx, out, c);
  }
  std::size_t scratch_bytes(const KernelTable& table, int threads, Index rows) const override {
    return scratch_for(table, threads, rows, rows_, cols_);
  }
  std::size_t bytes() const override { return bytes_for(rows_, cols_); }

  static std::size_t scratch_for(const KernelTable& table, int threads, Index rows, Index k, Index n) {
    const auto m = static_cast<std::size_t>(rows);
    return tensor::arena_bytes(rows * k) + tensor::arena_bytes(rows * n) +
           kernels::round_up_to_cache_line(m * static_cast<std::size_t>(k)) +
           3 * kernels::round_up_to_cache_line(m * sizeof(float)) +
           std::max({kernels::gemm_scratch_bytes(table, threads, rows, n, k),
                     kernels::quantize_rows_scratch_bytes(threads),
                     kernels::rowwise_scratch_bytes(table, threads, rows, std::max(n, k))});
  }
  static std::size_t bytes_for(Index k, Index n) { return static_cast<std::size_t>(k * n) * sizeof(float); }

 private:
  bool errs(Index k) const {
    return emulation_.dimensions.empty() || emulation_.dimensions[static_cast<std::size_t>(k)];
  }

  bool is_float(Index k) const {
    return std::binary_search(emulation_.float_rows.begin(), emulation_.float_rows.end(), k);
  }

  void take_weights(const KernelTable& table, ConstMatrixRef w) {
    const kernels::QuantizedColumns quantized =
        kernels::quantize_columns(table, w, scheme_.weights, emulation_.float_rows);
    weights_.resize(static_cast<std::size_t>(rows_ * cols_));
    const Rng noise(emulation_.seed, 0);
    for (Index k = 0; k < rows_; ++k) {
      const bool row_errs = emulation_.weights && errs(k) && !is_float(k);
      for (Index j = 0; j < cols_; ++j) {
        const float exact = w.data[k * w.row_stride + j * w.col_stride], scale = quantized.scale[j];
        float& weight = weights_[static_cast<std::size_t>(k * cols_ + j)] = exact;
        if (!row_errs) continue;
        const float rounded = scale * static_cast<float>(quantized.q[j * rows_ + k] - quantized.zero[j]);
        weight = in_error(emulation_.error, exact, rounded, scale, noise,
                          static_cast<std::uint64_t>(k * cols_ + j));
        if (power_ != nullptr) add_power(power_->weights, power_->weights_predicted, exact, weight, scale);
      }
    }
  }

  // x in error, in place.
  void disturb(ExecContext& ctx, MatrixRef x) const {
    kernels::ScratchFrame frame(ctx.scratch);
    const auto n = static_cast<std::size_t>(x.rows);
    const kernels::QuantizedRows q = {
        {frame.take<std::int8_t>(n * static_cast<std::size_t>(rows_)), x.rows, rows_},
        frame.take<float>(n),
        frame.take<std::int32_t>(n),
        frame.take<std::int32_t>(n)};
    kernels::quantize_rows(ctx, q, x, scheme_.inputs, limits_.data());
    for (Index i = 0; i < x.rows; ++i) {
      float* const row = x.row(i);
      const Rng noise(emulation_.seed, XXH3_64bits(row, static_cast<std::size_t>(rows_) * sizeof(float)));
      for (Index k = 0; k < rows_; ++k) {
        const float exact = row[k];
        if (!errs(k) || !(std::fabs(exact) < limits_[static_cast<std::size_t>(k)])) continue;
        const float rounded = q.scale[i] * static_cast<float>(q.q.row(i)[k] - q.zero[i]);
        row[k] = in_error(emulation_.error, exact, rounded, q.scale[i], noise, static_cast<std::uint64_t>(k));
        if (power_ != nullptr) add_power(power_->inputs, power_->inputs_predicted, exact, row[k], q.scale[i]);
      }
    }
  }

  Scheme scheme_;
  Emulation emulation_;
  Index rows_, cols_;           // K, N
  std::vector<float> limits_;   // (K), from which an input is exact
  std::vector<float> weights_;  // (K,N), in error
  ErrorPower* power_;
};

}  // namespace

std::shared_ptr<const tensor::FrozenWeight> emulate(const KernelTable& table, const Scheme& scheme,
                                                    ConstMatrixRef w, const Emulation& emulation,
                                                    ErrorPower* power) {
  return std::make_shared<EmulatedWeight>(table, scheme, w, emulation, power);
}

std::shared_ptr<const tensor::FrozenWeight> plan_emulated(Index rows, Index cols) {
  return std::make_shared<PlannedWeight>(EmulatedWeight::bytes_for(rows, cols), EmulatedWeight::scratch_for,
                                         rows, cols);
}

}  // namespace loglog::quant
