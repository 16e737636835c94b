// Windows of a token file: random order for training, a fixed sample for validation.
//
// A window of context T is T + 1 consecutive tokens x[0..T] of one range: inputs x[0..T-1], targets x[1..T].
// Windows of a range start T apart, so that every target is seen once; the up to T tokens left at the end of a
// range are not used. In training the second and later epochs shift all windows by a seeded number of tokens, so
// that a text seen again is cut in other places.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/rng.hpp"
#include "data/mixture.hpp"
#include "data/split.hpp"
#include "data/token_file.hpp"

namespace loglog::data {

// How windows of several documents are read.
enum class Documents : bool {
  together,  // as one text
  apart      // what follows the end of a document is not a target: nothing that is seen then would say it
};

Documents documents_rule(std::string_view name);  // "ignore" or "mask", as data.documents has them

// The windows of a list of ranges, numbered in file order.
class Windows {
 public:
  // InputError when no range holds a whole window, or when documents are to be kept apart and the file does not say where
  // they end. `file` must outlive this object. `prefix`: so many first tokens of a sequence (a window, or its part of a document
  // that is kept apart) see each other, so that those behind the first are no targets.
  Windows(const TokenFile& file, std::span<const TokenRange> ranges, std::int64_t context,
          Documents documents = Documents::together, std::int64_t prefix = 0);

  std::uint64_t count() const noexcept { return first_.back(); }
  std::int64_t context() const noexcept { return context_; }
  std::size_t range_of(std::uint64_t window) const noexcept;
  std::uint64_t begin_of(std::uint64_t window) const noexcept;  // index of x[0] in the file
  std::size_t source_of(std::uint64_t window) const noexcept { return ranges_[range_of(window)].source; }
  void count_sources(std::span<std::uint64_t> windows) const noexcept;  // adds them up, by source
  // The window moved on by `shift` < T tokens, or to the end of its range where that comes first. T tokens each. Targets that
  // do not count are kIgnoredTarget.
  void read(std::uint64_t window, std::uint64_t shift, std::span<Token> inputs,
            std::span<Token> targets) const noexcept;
  // Whether all targets count, whatever the window.
  bool counts_all() const noexcept { return !file_->has_mask() && !takes_away(); }
  std::uint64_t counted(std::uint64_t window, std::uint64_t shift) const noexcept;  // targets
  const TokenFile& file() const noexcept { return *file_; }

 private:
  // What is known between two pieces of a window: place of the next token in the window and in its sequence.
  struct Place {
    std::int64_t in_window = 0, in_sequence = 0;
  };
  bool takes_away() const noexcept { return document_end_ || prefix_ > 1; }
  std::uint64_t begin_of(std::uint64_t window, std::uint64_t shift) const noexcept;
  void read_piece(std::uint64_t begin, Place& place, std::span<Token> inputs,
                  std::span<Token> targets) const noexcept;

  const TokenFile* file_;
  std::optional<Token> document_end_;  // where documents are kept apart
  std::int64_t context_;
  std::int64_t prefix_;
  std::vector<TokenRange> ranges_;
  std::vector<std::uint64_t> first_;  // number of the first window of each range, and the count
};

// How much of a source was drawn.
struct Exposure {
  std::size_t source;  // index into TokenFile::sources()
  std::uint64_t windows;
  double epochs;  // of the windows that the source has
};

// The endless order of training windows: epoch after epoch, each a permutation of all windows and a shift of them
// (0 in the first) that depend on (seed, epoch) and on nothing else: not on batch size, model or threads.
// With a mixture every source has its own epochs, permutations and shifts, and sources take turns by their weights.
// Stateless: a run resumes by number.
class Batcher {
 public:
  // `mixture` as Mixture::parse() has it; empty: all windows are equal, so sources come in proportion to their sizes.
  // InputError also when a source that has a weight holds no whole window.
  Batcher(const TokenFile& file, std::span<const TokenRange> ranges, std::int64_t context, std::uint64_t seed,
          std::string_view mixture = "", Documents documents = Documents::together, std::int64_t prefix = 0);

  std::uint64_t windows() const noexcept;             // in one epoch: of all sources that are drawn from
  std::uint64_t tokens_per_epoch() const noexcept;    // targets
  double epochs(std::uint64_t drawn) const noexcept;  // after so many windows, on average over all
  std::uint64_t window_at(
      std::uint64_t i) const noexcept;  // the window that is i-th in the order; of its source in a mixture
  std::uint64_t shift_at(std::uint64_t i) const noexcept;  // tokens that it is moved on
  std::size_t source_at(std::uint64_t i) const noexcept;   // where it comes from
  // Adds up the windows i .. i + n - 1 of the order by source; and what so many of each source mean.
  void count_sources(std::uint64_t i, std::uint64_t n, std::span<std::uint64_t> drawn) const noexcept;
  std::vector<Exposure> exposure(std::span<const std::uint64_t> drawn) const;

  // Windows i, i+1, ... of the order, as many as fit: inputs and targets (n, context), equal sizes.
  // InputError when the file shrank.
  void fill(std::uint64_t i, std::span<Token> inputs, std::span<Token> targets) const;
  // Targets that count among the windows i .. i + n - 1.
  std::uint64_t counted(std::uint64_t i, std::uint64_t n) const;

 private:
  struct Draw;  // one window of the order, found
  Draw draw(std::uint64_t i) const noexcept;

  std::vector<Windows> parts_;        // of all ranges, or of each source that has a weight
  std::vector<std::size_t> part_of_;  // by source, with a mixture
  std::optional<Mixture> mixture_;
  std::uint64_t seed_;
};

// The windows that every evaluation uses, spread evenly over all validation ranges and so over all sources.
class FixedSample {
 public:
  // At most `tokens` targets (at least one window); 0 takes the whole validation part.
  // Documents and prefixes count as in training. InputError when no target counts.
  FixedSample(const TokenFile& file, std::span<const TokenRange> ranges, std::int64_t context,
              std::uint64_t tokens, Documents documents = Documents::together, std::int64_t prefix = 0);

  std::uint64_t windows() const noexcept { return count_; }
  std::uint64_t tokens() const noexcept;               // targets
  std::size_t blocks() const noexcept;                 // ranges that at least one window comes from
  std::size_t source(std::uint64_t i) const noexcept;  // index into TokenFile::sources()
  std::uint64_t begin(std::uint64_t i) const noexcept { return windows_.begin_of(window_at(i)); }
  std::size_t block(std::uint64_t i) const noexcept { return windows_.range_of(window_at(i)); }  // its range

  // Windows i, i+1, ... of the sample, as many as fit (the caller stays below windows()).
  void fill(std::uint64_t i, std::span<Token> inputs, std::span<Token> targets) const;

 private:
  std::uint64_t window_at(std::uint64_t i) const noexcept;
  Windows windows_;
  std::uint64_t count_;
};

}  // namespace loglog::data
