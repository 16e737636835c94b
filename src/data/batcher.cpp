#include "data/batcher.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.hpp"
#include "base/error.hpp"

namespace loglog::data {
namespace {

// Apart from the streams of initialisation.
constexpr std::uint64_t kOrderStream = 0x6f72646572;  // "order"
constexpr std::uint64_t kShiftStream = 0x7368696674;  // "shift"

std::size_t windows_in(std::span<const Token> inputs, std::span<const Token> targets, std::int64_t context) {
  const auto width = static_cast<std::size_t>(context);
  LOGLOG_CHECK(inputs.size() == targets.size() && inputs.size() % width == 0,
               "{} inputs, {} targets, expected equal multiples of the context {}", inputs.size(),
               targets.size(), context);
  return inputs.size() / width;
}

}  // namespace

Windows::Windows(const TokenFile& file, std::span<const TokenRange> ranges, std::int64_t context)
    : file_(&file), context_(context), ranges_(ranges.begin(), ranges.end()), first_{0} {
  LOGLOG_CHECK(context > 0, "context is {}", context);
  std::uint64_t longest = 0;
  for (const TokenRange& range : ranges_) {
    const std::uint64_t targets = range.size() == 0 ? 0 : range.size() - 1;
    first_.push_back(first_.back() + targets / static_cast<std::uint64_t>(context));
    longest = std::max(longest, range.size());
  }
  if (count() == 0) {
    throw InputError(
        fmt::format("'{}' is too small for model.context = {}: a window needs {} tokens, the longest range "
                    "of the split has {}",
                    file.path().native(), context, context + 1, longest));
  }
}

std::size_t Windows::range_of(std::uint64_t window) const noexcept {
  return static_cast<std::size_t>(std::upper_bound(first_.begin(), first_.end(), window) - first_.begin() -
                                  1);
}

std::uint64_t Windows::begin_of(std::uint64_t window) const noexcept {
  const std::size_t range = range_of(window);
  return ranges_[range].begin + (window - first_[range]) * static_cast<std::uint64_t>(context_);
}

void Windows::read(std::uint64_t window, std::uint64_t shift, std::span<Token> inputs,
                   std::span<Token> targets) const noexcept {
  const std::uint64_t last = ranges_[range_of(window)].end - static_cast<std::uint64_t>(context_) - 1;
  const std::uint64_t begin = std::min(begin_of(window) + shift, last);
  file_->read(begin, inputs);
  file_->read(begin + 1, targets);
}

Batcher::Batcher(const TokenFile& file, std::span<const TokenRange> ranges, std::int64_t context,
                 std::uint64_t seed)
    : windows_(file, ranges, context), seed_(seed) {}

std::uint64_t Batcher::tokens_per_epoch() const noexcept {
  return windows() * static_cast<std::uint64_t>(windows_.context());
}

double Batcher::epochs(std::uint64_t drawn) const noexcept {
  return static_cast<double>(drawn) / static_cast<double>(windows());
}

std::uint64_t Batcher::window_at(std::uint64_t i) const noexcept {
  const std::uint64_t epoch = i / windows();
  return Permutation(windows(), seed_, kOrderStream + epoch)(i % windows());
}

std::uint64_t Batcher::shift_at(std::uint64_t i) const noexcept {
  const std::uint64_t epoch = i / windows();
  if (epoch == 0) return 0;
  return Rng(seed_, kShiftStream).below(epoch, static_cast<std::uint64_t>(windows_.context()));
}

void Batcher::fill(std::uint64_t i, std::span<Token> inputs, std::span<Token> targets) const {
  const auto width = static_cast<std::size_t>(windows_.context());
  const std::size_t count = windows_in(inputs, targets, windows_.context());
  windows_.file().check_size();
  for (std::size_t w = 0; w < count; ++w) {
    windows_.read(window_at(i + w), shift_at(i + w), inputs.subspan(w * width, width),
                  targets.subspan(w * width, width));
  }
}

FixedSample::FixedSample(const TokenFile& file, std::span<const TokenRange> ranges, std::int64_t context,
                         std::uint64_t tokens)
    : windows_(file, ranges, context), count_(windows_.count()) {
  if (tokens == 0) return;
  count_ = std::clamp<std::uint64_t>(tokens / static_cast<std::uint64_t>(context), 1, count_);
}

std::uint64_t FixedSample::tokens() const noexcept {
  return count_ * static_cast<std::uint64_t>(windows_.context());
}

// Sample i is the middle of the i-th of count_ equal parts of all windows.
std::uint64_t FixedSample::window_at(std::uint64_t i) const noexcept {
  const auto position = static_cast<unsigned __int128>(2 * i + 1) * windows_.count() / (2 * count_);
  return static_cast<std::uint64_t>(position);
}

std::size_t FixedSample::blocks() const noexcept {
  std::size_t blocks = 0;
  std::size_t last = static_cast<std::size_t>(-1);
  for (std::uint64_t i = 0; i < count_; ++i) {
    const std::size_t range = windows_.range_of(window_at(i));
    blocks += range != last;
    last = range;
  }
  return blocks;
}

std::size_t FixedSample::source(std::uint64_t i) const noexcept {
  return windows_.source_of(window_at(i));
}

void FixedSample::fill(std::uint64_t i, std::span<Token> inputs, std::span<Token> targets) const {
  const auto width = static_cast<std::size_t>(windows_.context());
  const std::size_t count = windows_in(inputs, targets, windows_.context());
  LOGLOG_CHECK(i + count <= count_, "windows {}..{} of a sample of {}", i, i + count, count_);
  windows_.file().check_size();
  for (std::size_t w = 0; w < count; ++w) {
    windows_.read(window_at(i + w), 0, inputs.subspan(w * width, width), targets.subspan(w * width, width));
  }
}

}  // namespace loglog::data
