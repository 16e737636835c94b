// A small text out of a large one: so many tokens to train on, from everywhere in it, and a validation part that stays the same whatever that
// number is.
#pragma once
#include "data/token_file.hpp"

namespace loglog::data {

struct PartSize {
  std::uint64_t train = 0, validation = 0;  // tokens
  double validation_share() const;          // with data.split = "position" it splits the part so
};
inline constexpr std::uint64_t kPieceTokens = 4096;

// Takes pieces of kPieceTokens, equally far from each other, from the training part of `text` (data.split "hashed") and behind them such pieces from
// its validation part. InputError where the text has fewer tokens than either. `command` is told by the header.
TokenFile write_part(FileSystem& fs, const TokenFile& text, const PartSize& size, double validation_share,
                     const Path& out, const std::vector<std::string>& command);

// Whether a file is what write_part() makes of this text at this size, by what its header says.
bool is_part_of(const TokenFile& part, const TokenFile& text, const PartSize& size);

}  // namespace loglog::data
