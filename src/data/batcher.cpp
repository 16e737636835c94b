#include "data/batcher.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

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

Documents documents_rule(std::string_view name) {
  constexpr std::string_view names[] = {"ignore", "mask"};
  if (name == names[0]) return Documents::together;
  if (name == names[1]) return Documents::apart;
  throw_unknown_name("data.documents", name, names);
}

Windows::Windows(const TokenFile& file, std::span<const TokenRange> ranges, std::int64_t context,
                 Documents documents, std::int64_t prefix)
    : file_(&file), context_(context), prefix_(prefix), ranges_(ranges.begin(), ranges.end()), first_{0} {
  LOGLOG_CHECK(context > 0, "context is {}", context);
  if (documents == Documents::apart) {
    document_end_ = file.document_end();
    if (!document_end_)
      throw UsageError(fmt::format(
          "data.documents = \"mask\": '{}' does not say where a document ends; its tokenizer has no "
          "token for that",
          file.path().native()));
  }
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

void Windows::count_sources(std::span<std::uint64_t> windows) const noexcept {
  for (std::size_t range = 0; range < ranges_.size(); ++range)
    windows[ranges_[range].source] += first_[range + 1] - first_[range];
}

std::uint64_t Windows::begin_of(std::uint64_t window, std::uint64_t shift) const noexcept {
  const std::uint64_t last = ranges_[range_of(window)].end - static_cast<std::uint64_t>(context_) - 1;
  return std::min(begin_of(window) + shift, last);
}

// Target t is token t + 1: a query within the prefix sees it there, unless it lies behind the window.
void Windows::read_piece(std::uint64_t begin, Place& place, std::span<Token> inputs,
                         std::span<Token> targets) const noexcept {
  const std::uint64_t first = begin + static_cast<std::uint64_t>(place.in_window);
  file_->read(first, inputs);
  file_->read_targets(first + 1, targets);
  if (!takes_away()) {
    place.in_window += static_cast<std::int64_t>(inputs.size());
    return;
  }
  for (std::size_t t = 0; t < inputs.size(); ++t) {
    const bool ends = document_end_ && inputs[t] == *document_end_;
    ++place.in_window;
    ++place.in_sequence;
    const bool is_seen = place.in_sequence < prefix_ && place.in_window < context_;
    if (ends || is_seen) targets[t] = kIgnoredTarget;
    if (ends) place.in_sequence = 0;
  }
}

void Windows::read(std::uint64_t window, std::uint64_t shift, std::span<Token> inputs,
                   std::span<Token> targets) const noexcept {
  Place place;
  read_piece(begin_of(window, shift), place, inputs, targets);
}

std::uint64_t Windows::counted(std::uint64_t window, std::uint64_t shift) const noexcept {
  if (counts_all()) return static_cast<std::uint64_t>(context_);
  constexpr std::int64_t kPiece =
      256;  // tokens, on the stack: a step of training asks, and allocates nothing
  std::array<Token, kPiece> inputs, targets;
  const std::uint64_t begin = begin_of(window, shift);
  std::uint64_t sum = 0;
  for (Place place; place.in_window < context_;) {
    const auto n = static_cast<std::size_t>(std::min(kPiece, context_ - place.in_window));
    const std::span<Token> piece = std::span(targets).first(n);
    read_piece(begin, place, std::span(inputs).first(n), piece);
    sum += n - static_cast<std::uint64_t>(std::ranges::count(piece, kIgnoredTarget));
  }
  return sum;
}

Batcher::Batcher(const TokenFile& file, std::span<const TokenRange> ranges, std::int64_t context,
                 std::uint64_t seed, std::string_view mixture, Documents documents, std::int64_t prefix)
    : seed_(seed) {
  if (mixture.empty()) {
    parts_.emplace_back(file, ranges, context, documents, prefix);
    return;
  }
  mixture_ = Mixture::parse(mixture, file.sources());
  part_of_.resize(file.sources().size());
  for (std::size_t source = 0; source < file.sources().size(); ++source) {
    if (mixture_->share(source) == 0) continue;
    std::vector<TokenRange> own;
    std::ranges::copy_if(ranges, std::back_inserter(own),
                         [&](const TokenRange& range) { return range.source == source; });
    part_of_[source] = parts_.size();
    parts_.emplace_back(file, own, context, documents, prefix);
  }
}

struct Batcher::Draw {
  const Windows& part;
  std::uint64_t epoch, place;  // of that part
  std::uint64_t stream;        // 0, or one of each source, far apart
};

Batcher::Draw Batcher::draw(std::uint64_t i) const noexcept {
  constexpr int kEpochBits = 40;
  if (!mixture_) return {parts_[0], i / parts_[0].count(), i % parts_[0].count(), 0};
  const Mixture::Place place = mixture_->at(i);
  const Windows& part = parts_[part_of_[place.source]];
  return {part, place.number / part.count(), place.number % part.count(),
          (std::uint64_t{place.source} + 1) << kEpochBits};
}

std::uint64_t Batcher::windows() const noexcept {
  std::uint64_t sum = 0;
  for (const Windows& part : parts_) sum += part.count();
  return sum;
}

std::uint64_t Batcher::tokens_per_epoch() const noexcept {
  return windows() * static_cast<std::uint64_t>(parts_[0].context());
}

double Batcher::epochs(std::uint64_t drawn) const noexcept {
  return static_cast<double>(drawn) / static_cast<double>(windows());
}

std::uint64_t Batcher::window_at(std::uint64_t i) const noexcept {
  const Draw at = draw(i);
  return Permutation(at.part.count(), seed_, kOrderStream + at.stream + at.epoch)(at.place);
}

std::uint64_t Batcher::shift_at(std::uint64_t i) const noexcept {
  const Draw at = draw(i);
  if (at.epoch == 0) return 0;
  return Rng(seed_, kShiftStream + at.stream).below(at.epoch, static_cast<std::uint64_t>(at.part.context()));
}

std::size_t Batcher::source_at(std::uint64_t i) const noexcept {
  return draw(i).part.source_of(window_at(i));
}

void Batcher::count_sources(std::uint64_t i, std::uint64_t n, std::span<std::uint64_t> drawn) const noexcept {
  const std::uint64_t end = i + n;
  while (i < end) {
    const bool is_epoch = !mixture_ && i % windows() == 0 && end - i >= windows();  // has every window once
    if (is_epoch)
      parts_[0].count_sources(drawn), i += windows();
    else
      ++drawn[mixture_ ? mixture_->at(i++).source : source_at(i++)];
  }
}

std::vector<Exposure> Batcher::exposure(std::span<const std::uint64_t> drawn) const {
  std::vector<std::uint64_t> had(parts_[0].file().sources().size());
  for (const Windows& part : parts_) part.count_sources(had);
  std::vector<Exposure> result;
  for (std::size_t source = 0; source < had.size(); ++source) {
    const double epochs =
        had[source] == 0 ? 0.0 : static_cast<double>(drawn[source]) / static_cast<double>(had[source]);
    result.push_back({source, drawn[source], epochs});
  }
  return result;
}

void Batcher::fill(std::uint64_t i, std::span<Token> inputs, std::span<Token> targets) const {
  const std::int64_t context = parts_[0].context();
  const auto width = static_cast<std::size_t>(context);
  const std::size_t count = windows_in(inputs, targets, context);
  parts_[0].file().check_size();
  for (std::size_t w = 0; w < count; ++w) {
    draw(i + w).part.read(window_at(i + w), shift_at(i + w), inputs.subspan(w * width, width),
                          targets.subspan(w * width, width));
  }
}

std::uint64_t Batcher::counted(std::uint64_t i, std::uint64_t n) const {
  if (parts_[0].counts_all()) return n * static_cast<std::uint64_t>(parts_[0].context());
  parts_[0].file().check_size();
  std::uint64_t sum = 0;
  for (std::uint64_t w = i; w < i + n; ++w) sum += draw(w).part.counted(window_at(w), shift_at(w));
  return sum;
}

FixedSample::FixedSample(const TokenFile& file, std::span<const TokenRange> ranges, std::int64_t context,
                         std::uint64_t tokens, Documents documents, std::int64_t prefix)
    : windows_(file, ranges, context, documents, prefix), count_(windows_.count()) {
  if (tokens > 0) count_ = std::clamp<std::uint64_t>(tokens / static_cast<std::uint64_t>(context), 1, count_);
  if (windows_.counts_all()) return;
  for (std::uint64_t i = 0; i < count_; ++i)
    if (windows_.counted(window_at(i), 0) > 0) return;
  throw InputError(fmt::format("'{}': of the validation sample's {} tokens none counts as a target",
                               file.path().native(), this->tokens()));
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
