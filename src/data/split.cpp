#include "data/split.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "base/error.hpp"

namespace loglog::data {
namespace {

constexpr std::uint64_t kLargestBlock = 65536;
constexpr std::uint64_t kSmallestBlock = 1024;  // several windows of the usual contexts
constexpr double kValidationBlocks = 64;        // per source, where it is large enough

struct Block {
  TokenRange range;
  std::uint64_t hash;
};

std::uint64_t block_size(std::uint64_t source_tokens, double share) {
  const double wanted = share * static_cast<double>(source_tokens);
  const double smallest = std::min(static_cast<double>(kSmallestBlock), wanted);
  return static_cast<std::uint64_t>(
      std::max(1.0, std::clamp(wanted / kValidationBlocks, smallest, static_cast<double>(kLargestBlock))));
}

// The end of the block that starts at `begin`: behind the last end of a line or document in its second half, else at full
// size.
std::uint64_t block_end(const TokenFile& file, std::uint64_t begin, std::uint64_t limit, std::uint64_t size) {
  if (limit - begin <= size + size / 2) return limit;  // no crumbs at the end of a source
  const std::uint64_t full = begin + size;
  if (!file.line_end() && !file.document_end()) return full;
  for (std::uint64_t end = full; end > full - size / 2; --end) {
    const Token last = file.token(end - 1);
    if (last == file.line_end() || last == file.document_end()) return end;
  }
  return full;
}

std::vector<Block> cut_blocks(const TokenFile& file, std::size_t source_id, double share) {
  const Source& source = file.sources()[source_id];
  const std::uint64_t size = block_size(source.end - source.begin, share);
  std::vector<Block> blocks;
  for (std::uint64_t begin = source.begin; begin < source.end;) {
    const std::uint64_t end = block_end(file, begin, source.end, size);
    const auto bytes = file.bytes(begin, end);
    blocks.push_back({{begin, end, source_id}, XXH3_64bits(bytes.data(), bytes.size())});
    begin = end;
  }
  return blocks;
}

// Hashes of the blocks that validate, lowest first, until the share of this source is reached as closely as
// whole blocks allow.
void choose_validation(std::vector<Block> blocks, double share, std::unordered_set<std::uint64_t>& chosen) {
  std::uint64_t total = 0;
  for (const Block& block : blocks) total += block.range.size();
  std::sort(blocks.begin(), blocks.end(), [](const Block& a, const Block& b) {
    return std::pair(a.hash, a.range.begin) < std::pair(b.hash, b.range.begin);
  });
  const double wanted = share * static_cast<double>(total);
  double taken = 0;
  for (const Block& block : blocks) {
    const bool same_content = chosen.contains(block.hash);
    if (!same_content && taken + 0.5 * static_cast<double>(block.range.size()) > wanted) continue;
    chosen.insert(block.hash);
    taken += static_cast<double>(block.range.size());
  }
}

void append_merged(std::vector<TokenRange>& ranges, const TokenRange& next) {
  if (!ranges.empty() && ranges.back().end == next.begin && ranges.back().source == next.source) {
    ranges.back().end = next.end;
  } else {
    ranges.push_back(next);
  }
}

SplitRanges split_hashed(const TokenFile& file, double share) {
  std::vector<std::vector<Block>> blocks;
  std::unordered_set<std::uint64_t> chosen;
  for (std::size_t s = 0; s < file.sources().size(); ++s) {
    blocks.push_back(cut_blocks(file, s, share));
    choose_validation(blocks.back(), share, chosen);
  }
  SplitRanges split{};
  for (const auto& source : blocks) {
    for (const Block& block : source) {
      if (chosen.contains(block.hash)) {
        split.validation.push_back(block.range);
      } else {
        append_merged(split.train, block.range);
      }
    }
  }
  return split;
}

SplitRanges split_by_position(const TokenFile& file, double share) {
  SplitRanges split{};
  for (std::size_t s = 0; s < file.sources().size(); ++s) {
    const Source& source = file.sources()[s];
    const auto train =
        static_cast<std::uint64_t>(static_cast<double>(source.end - source.begin) * (1.0 - share));
    const std::uint64_t border = source.begin + train;
    if (train > 0) split.train.push_back({source.begin, border, s});
    if (border < source.end) split.validation.push_back({border, source.end, s});
  }
  return split;
}

}  // namespace

SplitRanges make_split(const TokenFile& file, std::string_view kind, double validation_share) {
  if (!(validation_share > 0.0 && validation_share < 1.0)) {
    throw UsageError(
        fmt::format("data.val_share is {}, allowed is more than 0 and less than 1", validation_share));
  }
  constexpr std::string_view kinds[] = {"hashed", "position"};
  SplitRanges split;
  if (kind == kinds[0]) {
    split = split_hashed(file, validation_share);
  } else if (kind == kinds[1]) {
    split = split_by_position(file, validation_share);
  } else {
    throw_unknown_name("data.split", kind, kinds);
  }
  if (split.train.empty() || split.validation.empty()) {
    throw InputError(
        fmt::format("'{}' cannot be split: its {} tokens leave nothing to {} with data.val_share {}",
                    file.path().native(), file.size(), split.train.empty() ? "train on" : "validate on",
                    validation_share));
  }
  std::uint64_t validation = 0;
  for (const TokenRange& range : split.validation) validation += range.size();
  split.validation_share = static_cast<double>(validation) / static_cast<double>(file.size());
  return split;
}

}  // namespace loglog::data
