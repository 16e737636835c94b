#include "quant/activations/rotation.hpp"

#include <cmath>

#include "base/check.hpp"
#include "base/rng.hpp"
#include "kernels/gemm.hpp"

namespace loglog::quant {
namespace {

double dot(const double* a, const double* b, std::size_t n) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

std::vector<double> random_rotation(Index width, std::uint64_t seed) {
  const auto n = static_cast<std::size_t>(width);
  std::vector<double> q(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    double* const row = q.data() + i * n;
    const Rng rng(seed, i);
    for (std::size_t j = 0; j < n; ++j) row[j] = rng.normal(j);
    for (int twice = 0; twice < 2; ++twice) {  // once more takes out what rounding left of the rows before
      for (std::size_t k = 0; k < i; ++k) {
        const double* const other = q.data() + k * n;
        const double along = dot(row, other, n);
        for (std::size_t j = 0; j < n; ++j) row[j] -= along * other[j];
      }
      const double length = std::sqrt(dot(row, row, n));
      for (std::size_t j = 0; j < n; ++j) row[j] /= length;
    }
  }
  return q;
}

RotatedActivations::RotatedActivations(const kernels::KernelTable& table, Index width, std::uint64_t seed,
                                       std::vector<ActivationSink*> sinks)
    : table_(table), width_(width), sinks_(std::move(sinks)) {
  for (const double x : random_rotation(width, seed)) rotation_.push_back(static_cast<float>(x));
}

void RotatedActivations::add(const Spot& spot, kernels::ConstMatrixRef values, std::uint64_t first,
                             int threads) {
  LOGLOG_CHECK(values.cols == width_, "{} channels in a rotation of {}", values.cols, width_);
  rotated_.resize(static_cast<std::size_t>(values.rows * width_));
  scratch_.reserve(kernels::gemm_scratch_bytes(table_, threads, values.rows, width_, width_));
  kernels::ExecContext ctx{table_, threads, scratch_};
  const kernels::MatrixRef out(rotated_.data(), values.rows, width_);
  kernels::gemm(ctx, values, kernels::ConstMatrixRef(rotation_.data(), width_, width_), out);
  for (ActivationSink* sink : sinks_) sink->add(spot, out, first, threads);
}

void RotatedActivations::end_rows(Index rows) {
  for (ActivationSink* sink : sinks_) sink->end_rows(rows);
}

}  // namespace loglog::quant
