#include "data/overlap.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "data/tokenizer.hpp"

namespace loglog::data {
namespace {

constexpr std::size_t kWords = 10;
constexpr std::uint64_t kWordMultiplier = 0x9E3779B97F4A7C15;      // odd, from the golden ratio
constexpr std::uint64_t kSequenceMultiplier = 0xD1342543DE82EF95;  // odd, a tested LCG multiplier
constexpr std::uint64_t kKept = std::uint64_t{1} << 22;            // hashes: 32 MiB
constexpr std::uint64_t kChunk = 65536;                            // tokens read at once

constexpr std::uint64_t mix(std::uint64_t h) noexcept {  // the finaliser of splitmix64
  h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9;
  h = (h ^ h >> 27) * 0x94D049BB133111EB;
  return h ^ h >> 31;
}

constexpr std::uint64_t power(std::uint64_t base, std::size_t exponent) noexcept {
  std::uint64_t result = 1;
  for (std::size_t i = 0; i < exponent; ++i) result *= base;
  return result;
}

// Rolling hash of the last ten words.
class Sequence {
 public:
  bool push(std::uint64_t word) noexcept {  // true when ten words are there
    std::uint64_t& oldest = words_[count_ % kWords];
    hash_ = hash_ * kSequenceMultiplier + word - oldest * power(kSequenceMultiplier, kWords);
    oldest = word;
    return ++count_ >= kWords;
  }
  std::uint64_t hash() const noexcept { return mix(hash_); }

 private:
  std::array<std::uint64_t, kWords> words_{};
  std::uint64_t count_ = 0;
  std::uint64_t hash_ = 0;
};

template <class Visit>
void for_each_ten_gram(const TokenFile& file, const std::vector<TokenRange>& ranges,
                       const std::vector<bool>& is_separator, Visit&& visit) {
  std::vector<Token> buffer;
  for (const TokenRange& range : ranges) {
    Sequence sequence;
    std::uint64_t word = 0;
    const auto end_word = [&] {
      if (word != 0 && sequence.push(mix(word))) visit(sequence.hash());
      word = 0;
    };
    for (std::uint64_t begin = range.begin; begin < range.end; begin += kChunk) {
      buffer.resize(std::min(kChunk, range.end - begin));
      file.read(begin, buffer);
      for (const Token token : buffer) {
        if (is_separator[static_cast<std::size_t>(token)]) {
          end_word();
        } else {
          word = (word + static_cast<std::uint64_t>(token) + 1) * kWordMultiplier;
        }
      }
    }
    end_word();
  }
}

}  // namespace

Overlap ten_gram_overlap(const TokenFile& file, const SplitRanges& split) {
  Overlap overlap;
  const std::vector<bool> is_separator = word_separators(file);
  if (is_separator.empty()) return overlap;
  const double validation_tokens = split.validation_share * static_cast<double>(file.size());
  overlap.one_in = 1 + static_cast<std::uint64_t>(validation_tokens / 4.0) / kKept;  // words are not shorter

  std::vector<std::uint64_t> wanted;
  for_each_ten_gram(file, split.validation, is_separator, [&](std::uint64_t hash) {
    if (hash % overlap.one_in == 0) wanted.push_back(hash);
  });
  std::sort(wanted.begin(), wanted.end());
  // A bitmap in front of the binary search: most training sequences are not wanted.
  std::vector<bool> maybe(std::size_t{1} << 26);
  const auto slot = [&](std::uint64_t hash) { return hash >> 38; };
  for (const std::uint64_t hash : wanted) maybe[slot(hash)] = true;
  std::vector<bool> seen(wanted.size());
  for_each_ten_gram(file, split.train, is_separator, [&](std::uint64_t hash) {
    if (!maybe[slot(hash)]) return;
    const auto at = std::lower_bound(wanted.begin(), wanted.end(), hash);
    if (at != wanted.end() && *at == hash) seen[static_cast<std::size_t>(at - wanted.begin())] = true;
  });
  overlap.examined = wanted.size();
  bool previous_seen = false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {  // repeats within validation count as often as they occur
    previous_seen = i > 0 && wanted[i] == wanted[i - 1] ? previous_seen : static_cast<bool>(seen[i]);
    overlap.found += previous_seen;
  }
  return overlap;
}

}  // namespace loglog::data
