#include "quant/activations/channel_sums.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

#include "base/check.hpp"
#include "base/stats.hpp"
#include "kernels/parallel.hpp"

namespace loglog::quant {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr Index kColumns = 32;  // of a task: two cache lines of a row

// max |x| / median |x| of the finite numbers of a row, NaN where there is none: the upper one of two middle numbers, by partial sorting.
double ratio_of(std::span<const float> row, std::vector<float>& magnitudes) {
  magnitudes.clear();
  for (const float x : row)
    if (std::isfinite(x)) magnitudes.push_back(std::abs(x));
  if (magnitudes.empty()) return kNaN;
  const float largest = *std::ranges::max_element(magnitudes);
  const auto middle = magnitudes.begin() + static_cast<std::ptrdiff_t>(magnitudes.size() / 2);
  std::nth_element(magnitudes.begin(), middle, magnitudes.end());
  return *middle > 0 ? double(largest) / double(*middle) : kNaN;
}

// Of every row of `values`, in their order.
std::vector<double> ratios_of(kernels::ConstMatrixRef values, int threads) {
  constexpr Index kRows = 64;
  std::vector<double> ratios(static_cast<std::size_t>(values.rows));
  kernels::parallel_tasks(threads, kernels::ceil_div(values.rows, kRows), [&](Index task, int) {
    std::vector<float> magnitudes;
    for (Index r = task * kRows; r < std::min(values.rows, (task + 1) * kRows); ++r) {
      const std::span row(values.data + r * values.row_stride, static_cast<std::size_t>(values.cols));
      ratios[static_cast<std::size_t>(r)] = ratio_of(row, magnitudes);
    }
  });
  return ratios;
}

}  // namespace

void ChannelSums::add_column(kernels::ConstMatrixRef values, std::uint64_t first, Index column,
                             MagnitudeHistogram& histogram) {
  Channel& c = channels_[static_cast<std::size_t>(column)];
  for (Index r = 0; r < values.rows; ++r) {
    const float x = values.data[r * values.row_stride + column];
    if (!std::isfinite(x)) continue;
    histogram.add(x);
    ++c.finite;
    c.sum += double(x);
    c.squares += double(x) * double(x);
    c.lowest = std::min(c.lowest, x);
    c.highest = std::max(c.highest, x);
    if (std::abs(x) > std::abs(c.largest)) {
      c.largest = x;
      c.largest_row = first + static_cast<std::uint64_t>(r);
    }
  }
}

void ChannelSums::add(kernels::ConstMatrixRef values, std::uint64_t first, int threads,
                      std::vector<MagnitudeHistogram>& scratch) {
  LOGLOG_CHECK(values.cols == width() && values.col_stride == 1, "{} channels after {}", values.cols,
               width());
  scratch.resize(std::max(scratch.size(), static_cast<std::size_t>(threads)));
  kernels::parallel_tasks(threads, kernels::ceil_div(width(), kColumns), [&](Index task, int thread) {
    for (Index j = task * kColumns; j < std::min(width(), (task + 1) * kColumns); ++j)
      add_column(values, first, j, scratch[static_cast<std::size_t>(thread)]);
  });
  for (MagnitudeHistogram& part : scratch) {
    magnitudes_.add(part);
    part.clear();
  }
  for (const double ratio : ratios_of(values, threads)) {
    if (std::isnan(ratio)) continue;
    ratios_ += ratio;
    ++ratio_rows_;
  }
  rows_ += static_cast<std::uint64_t>(values.rows);
}

std::uint64_t ChannelSums::nonfinite() const {
  std::uint64_t finite = 0;
  for (const Channel& c : channels_) finite += c.finite;
  return rows_ * channels_.size() - finite;
}

std::vector<double> ChannelSums::mean_squares() const {
  std::vector<double> all;
  for (const Channel& c : channels_)
    if (c.finite > 0) all.push_back(c.mean_square());
  return all;
}

double ChannelSums::rms() const {
  const std::vector<double> all = mean_squares();
  return std::sqrt(std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size()));
}

double ChannelSums::median_rms() const {
  std::vector<double> all = mean_squares();
  for (double& x : all) x = std::sqrt(x);
  return median(std::move(all));
}

double ChannelSums::median_magnitude() const {
  return magnitudes_.median();
}

double ChannelSums::kurtosis() const {
  // Relative to the largest, whose square may be too large to be squared.
  const std::vector<double> all = mean_squares();
  const double largest = all.empty() ? 0 : *std::ranges::max_element(all);
  if (!(largest > 0)) return kNaN;
  double sum = 0, squares = 0;
  for (const double x : all) {
    const double share = x / largest;
    sum += share;
    squares += share * share;
  }
  return squares * static_cast<double>(all.size()) / (sum * sum);
}

double ChannelSums::max_to_median() const {
  return ratio_rows_ == 0 ? kNaN : ratios_ / static_cast<double>(ratio_rows_);
}

Index ChannelSums::largest() const {
  const auto magnitude = [](const Channel& c) { return std::abs(c.largest); };
  return std::ranges::max_element(channels_, {}, magnitude) - channels_.begin();
}

std::vector<Index> ChannelSums::top(Index count) const {
  std::vector<Index> order;
  for (Index j = 0; j < width(); ++j)
    if (channels_[static_cast<std::size_t>(j)].finite > 0) order.push_back(j);
  std::ranges::stable_sort(order, std::greater<>(), [&](Index j) { return mean_square(j); });
  order.resize(std::min(order.size(), static_cast<std::size_t>(count)));
  return order;
}

void ActivationSums::add(const Spot& spot, kernels::ConstMatrixRef values, std::uint64_t first, int threads) {
  const auto [at, is_new] = index_.try_emplace(spot, entries_.size());
  if (is_new) entries_.push_back({spot, ChannelSums(values.cols)});
  entries_[at->second].sums.add(values, first, threads, scratch_);
}

const ChannelSums* ActivationSums::find(const Spot& spot) const {
  const auto at = index_.find(spot);
  return at == index_.end() ? nullptr : &entries_[at->second].sums;
}

std::uint64_t ActivationSums::nonfinite() const {
  std::uint64_t all = 0;
  for (const Entry& entry : entries_) all += entry.sums.nonfinite();
  return all;
}

}  // namespace loglog::quant
