// Which tokens train and which validate.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "data/token_file.hpp"

namespace loglog::data {

// Tokens [begin, end) of source number `source`.
struct TokenRange {
  std::uint64_t begin;
  std::uint64_t end;
  std::size_t source;
  std::uint64_t size() const noexcept { return end - begin; }
};

struct SplitRanges {
  std::vector<TokenRange> train;       // maximal runs, in file order
  std::vector<TokenRange> validation;  // hashed: one entry per block; position: one per source
  double validation_share;             // achieved
};

// "hashed": each source is cut into blocks of at most 64 Ki tokens (fewer in small files, so that about 64
// blocks validate), at ends of lines or documents where there are any. Blocks are ranked by a hash of their content and the
// first ones validate until `validation_share` of the source is reached. Blocks with equal content have equal
// hashes and always fall on the same side, across sources too. No randomness, no seed: one file has one split.
//
// "position": the last `validation_share` of each source validates.
//
// UsageError for other names or a share outside (0, 1); InputError when either side would be empty.
SplitRanges make_split(const TokenFile& file, std::string_view kind, double validation_share);

}  // namespace loglog::data
