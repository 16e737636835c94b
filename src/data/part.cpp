#include "data/part.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "data/split.hpp"
#include "data/token_writer.hpp"

namespace loglog::data {
namespace {

std::uint64_t tokens_of(const std::vector<TokenRange>& ranges) {
  std::uint64_t sum = 0;
  for (const TokenRange& range : ranges) sum += range.size();
  return sum;
}

// Of these ranges the tokens [begin, end), counted through all of them.
void append_between(const TokenFile& text, const std::vector<TokenRange>& ranges, std::uint64_t begin,
                    std::uint64_t end, TokenWriter& to) {
  std::uint64_t first = 0;  // of the range, in that count
  std::vector<Token> tokens;
  for (const TokenRange& range : ranges) {
    const std::uint64_t from = std::max(begin, first), until = std::min(end, first + range.size());
    if (from < until) {
      tokens.resize(until - from);
      text.read(range.begin + from - first, tokens);
      to.append(tokens);
    }
    first += range.size();
  }
}

void append_pieces(const TokenFile& text, const std::vector<TokenRange>& ranges, std::uint64_t tokens,
                   TokenWriter& to) {
  const std::uint64_t all = tokens_of(ranges), pieces = (tokens + kPieceTokens - 1) / kPieceTokens;
  for (std::uint64_t i = 0; i < pieces; ++i) {
    const std::uint64_t length = std::min(kPieceTokens, tokens - i * kPieceTokens);
    const auto begin = static_cast<std::uint64_t>(static_cast<double>(all - length) * static_cast<double>(i) /
                                                  static_cast<double>(pieces));
    append_between(text, ranges, begin, begin + length, to);
  }
}

// What the header says of its origin.
nlohmann::json origin(const TokenFile& text, const PartSize& size) {
  return {{"checksum", text.checksum_text()}, {"train", size.train}, {"validation", size.validation}};
}

}  // namespace

bool is_part_of(const TokenFile& part, const TokenFile& text, const PartSize& size) {
  const nlohmann::json meta = part.meta();
  return meta.contains("part_of") && meta.at("part_of") == origin(text, size);
}

double PartSize::validation_share() const {
  return static_cast<double>(validation) / static_cast<double>(train + validation);
}

TokenFile write_part(FileSystem& fs, const TokenFile& text, const PartSize& size, double validation_share,
                     const Path& out, const std::vector<std::string>& command) {
  const SplitRanges split = make_split(text, "hashed", validation_share);
  for (const auto& [what, ranges, asked] : {std::tuple{"train on", &split.train, size.train},
                                            {"validate on", &split.validation, size.validation}})
    if (tokens_of(*ranges) < asked)
      throw InputError(fmt::format("'{}' has {} tokens to {}, {} are needed", text.path().native(),
                                   tokens_of(*ranges), what, asked));
  if (text.has_mask())
    throw InputError(
        fmt::format("'{}' has tokens that do not count: no part is taken of it", text.path().native()));
  TokenWriter writer(fs, out, text.token_bytes());
  writer.begin_source("part");
  append_pieces(text, split.train, size.train, writer);
  append_pieces(text, split.validation, size.validation, writer);
  writer.end_document();
  nlohmann::json meta = text.meta();
  for (const char* key : {"sources", "command", "entropy", "world"}) meta.erase(key);
  meta["command"] = command;
  meta["part_of"] = origin(text, size);
  if (text.bytes_per_token() > 0)
    meta["text_bytes"] = static_cast<std::uint64_t>(text.bytes_per_token() *
                                                    static_cast<double>(size.train + size.validation));
  writer.finish(text.vocab_size(), std::move(meta));
  return TokenFile::open(out);
}

}  // namespace loglog::data
