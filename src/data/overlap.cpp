#include "data/overlap.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "data/text_codec.hpp"

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

// What a token is to the words of a text. Pieces of a BPE carry the space before their word.
enum class InWord : unsigned char { inside, first, between };

// By token; empty where tokens stand for no text. InputError when the header's tokenizer is unknown or does not fit.
std::vector<InWord> word_parts(const TokenFile& file) {
  const auto is_space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  std::vector<InWord> parts;
  const auto codec = codec_of(file);
  if (codec == nullptr) return parts;
  for (Token token = 0; token < codec->vocab_size(); ++token) {
    const std::string text = codec->bytes_of(token);
    const bool is_blank = std::all_of(text.begin(), text.end(), is_space) || token == codec->document_end();
    parts.push_back(is_blank ? InWord::between : is_space(text[0]) ? InWord::first : InWord::inside);
  }
  return parts;
}

template <class Visit>
void for_each_ten_gram(const TokenFile& file, const std::vector<TokenRange>& ranges,
                       const std::vector<InWord>& parts, Visit&& visit) {
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
        const InWord part = parts[static_cast<std::size_t>(token)];
        if (part != InWord::inside) end_word();
        if (part != InWord::between) word = (word + static_cast<std::uint64_t>(token) + 1) * kWordMultiplier;
      }
    }
    end_word();
  }
}

}  // namespace

Overlap ten_gram_overlap(const TokenFile& file, const SplitRanges& split) {
  Overlap overlap;
  const std::vector<InWord> parts = word_parts(file);
  if (parts.empty()) return overlap;
  const double validation_tokens = split.validation_share * static_cast<double>(file.size());
  const double bytes = validation_tokens * std::max(1.0, file.bytes_per_token());
  overlap.one_in = 1 + static_cast<std::uint64_t>(bytes / 4.0) / kKept;  // words are not shorter

  std::vector<std::uint64_t> wanted;
  for_each_ten_gram(file, split.validation, parts, [&](std::uint64_t hash) {
    if (hash % overlap.one_in == 0) wanted.push_back(hash);
  });
  std::sort(wanted.begin(), wanted.end());
  // A bitmap in front of the binary search: most training sequences are not wanted.
  std::vector<bool> maybe(std::size_t{1} << 26);
  const auto slot = [&](std::uint64_t hash) { return hash >> 38; };
  for (const std::uint64_t hash : wanted) maybe[slot(hash)] = true;
  std::vector<bool> seen(wanted.size());
  for_each_ten_gram(file, split.train, parts, [&](std::uint64_t hash) {
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
