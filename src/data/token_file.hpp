// Token files: a corpus as the trainer reads it, memory-mapped. The format is drawn in docs/formats.md.
#pragma once
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"

namespace loglog::data {

using Token = std::int32_t;  // the trainer's type; files hold 1, 2 or 4 bytes per token

inline constexpr char kTokenFileMagic[8] = {'L', 'O', 'G', 'L', 'O', 'G', 'T', 'K'};
inline constexpr std::uint32_t kTokenFileVersion = 1;
inline constexpr std::uint32_t kMaskedTokenFileVersion = 2;  // a loss mask follows the tokens
inline constexpr std::uint64_t kMaxVocabulary = std::uint64_t{1} << 31;

// What a target holds that the loss does not count.
inline constexpr Token kIgnoredTarget = -1;
enum class Counts : bool { no, yes };  // whether a token counts when it is a target

// The fixed part in front, little-endian, 64 bytes. JSON follows it, then zeros up to `data_offset`, then the
// tokens and, in version 2, the loss mask, up to the end of the file.
struct TokenFileHeader {
  char magic[8];
  std::uint32_t version;
  std::uint32_t token_bytes;  // 1, 2 or 4: the smallest that holds vocab_size
  std::uint64_t vocab_size;
  std::uint64_t token_count;
  std::uint64_t data_offset;      // multiple of 64
  std::uint64_t meta_bytes;       // length of the JSON
  std::uint64_t data_checksum;    // XXH3 of the bytes of the tokens and the mask
  std::uint64_t header_checksum;  // XXH3 of the bytes [0, data_offset) with this field zero
};
static_assert(sizeof(TokenFileHeader) == 64);

std::uint32_t token_bytes_for(std::uint64_t vocab_size) noexcept;

// A named part of the corpus: the tokens [begin, end). Sources follow each other without gaps.
struct Source {
  std::string name;
  std::uint64_t begin;
  std::uint64_t end;
  std::uint64_t documents;
};

// An open token file. Immutable; reading from several threads is safe.
class TokenFile {
 public:
  // Reads the whole file once and checks header, checksums and that every token is inside the vocabulary.
  // InputError names file, offset and what was expected, also when it cannot be opened.
  static TokenFile open(const Path& path);

  std::uint64_t size() const noexcept { return header_.token_count; }
  std::uint64_t vocab_size() const noexcept { return header_.vocab_size; }
  std::uint64_t checksum() const noexcept { return header_.data_checksum; }
  std::string checksum_text() const;  // 16 hexadecimal digits, as identities, records and stores have it
  std::uint32_t token_bytes() const noexcept { return header_.token_bytes; }
  const std::vector<Source>& sources() const noexcept { return sources_; }
  nlohmann::json meta() const;  // the JSON of the header, parsed anew at each call: for pages and people
  const Path& path() const noexcept { return file_.path(); }

  // The token that ends a line, if the tokenizer has one: blocks are cut behind it.
  std::optional<Token> line_end() const noexcept { return line_end_; }

  // The token that ends a document, if the tokenizer has one.
  std::optional<Token> document_end() const noexcept { return document_end_; }

  // Whether some tokens do not count as targets (a prompt before its completion).
  bool has_mask() const noexcept { return mask_ != nullptr; }
  bool counts(std::uint64_t i) const noexcept;  // i < size(); without a mask all do
  std::uint64_t counted_tokens() const noexcept;

  // Text bytes per token that counts, for losses in bits per byte; 0 where tokens stand for no text (worlds).
  double bytes_per_token() const noexcept { return bytes_per_token_; }

  Token token(std::uint64_t i) const noexcept;  // i < size()
  void read(std::uint64_t begin, std::span<Token> out) const noexcept;
  // The same with kIgnoredTarget in place of tokens that do not count.
  void read_targets(std::uint64_t begin, std::span<Token> out) const noexcept;
  std::span<const std::byte> bytes(std::uint64_t begin, std::uint64_t end) const noexcept;

  void check_size() const { file_.check_size(); }  // InputError when the file shrank since it was opened

 private:
  explicit TokenFile(MappedFile file) : file_(std::move(file)) {}
  void parse_header();
  std::string_view meta_text() const noexcept;
  void parse_meta();
  void check_tokens() const;
  void check_mask() const;
  std::uint64_t mask_bytes() const noexcept;
  [[noreturn]] void reject(std::uint64_t offset, const std::string& what) const;

  MappedFile file_;
  TokenFileHeader header_{};
  std::vector<Source> sources_;
  std::optional<Token> line_end_;
  std::optional<Token> document_end_;
  double bytes_per_token_ = 0;
  const std::byte* tokens_ = nullptr;
  const std::byte* mask_ = nullptr;  // one bit per token, the lowest first; null: all count
};

}  // namespace loglog::data
