#include "data/token_file.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.hpp"
#include "base/flat_json.hpp"

namespace loglog::data {

static_assert(std::endian::native == std::endian::little, "token files are little-endian");

namespace {

template <class T>
T load(const std::byte* address) noexcept {
  T value;
  std::memcpy(&value, address, sizeof(T));
  return value;
}

std::uint64_t header_checksum(std::span<const std::byte> front) {
  std::vector<std::byte> copy(front.begin(), front.end());
  std::memset(copy.data() + offsetof(TokenFileHeader, header_checksum), 0, sizeof(std::uint64_t));
  return XXH3_64bits(copy.data(), copy.size());
}

template <class T>
void widen(const std::byte* from, std::span<Token> out) noexcept {
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<Token>(load<T>(from + i * sizeof(T)));
  }
}

// Index of the first token that is not below `limit`, or the count.
template <class T>
std::uint64_t first_at_least(const std::byte* tokens, std::uint64_t count, std::uint64_t limit) noexcept {
  constexpr std::uint64_t kChunk = 4096;  // a maximum per chunk is a plain loop that compilers vectorise
  for (std::uint64_t begin = 0; begin < count; begin += kChunk) {
    const std::uint64_t end = std::min(count, begin + kChunk);
    T largest = 0;
    for (std::uint64_t i = begin; i < end; ++i) largest = std::max(largest, load<T>(tokens + i * sizeof(T)));
    if (largest < limit) continue;
    for (std::uint64_t i = begin; i < end; ++i) {
      if (load<T>(tokens + i * sizeof(T)) >= limit) return i;
    }
  }
  return count;
}

}  // namespace

std::uint32_t token_bytes_for(std::uint64_t vocab_size) noexcept {
  return vocab_size <= 256 ? 1 : vocab_size <= 65536 ? 2 : 4;
}

void TokenFile::reject(std::uint64_t offset, const std::string& what) const {
  throw InputError(
      fmt::format("'{}' is no usable token file: at byte {}: {}", path().native(), offset, what));
}

std::string TokenFile::checksum_text() const {
  return fmt::format("{:016x}", checksum());
}

TokenFile TokenFile::open(const Path& path) {
  TokenFile file{map_input(path)};
  file.parse_header();
  file.check_mask();
  file.parse_meta();
  file.check_tokens();
  return file;
}

void TokenFile::parse_header() {
  const auto bytes = file_.bytes();
  if (bytes.empty()) reject(0, "the file is empty");
  const std::size_t shown = std::min(bytes.size(), sizeof kTokenFileMagic);
  if (std::memcmp(bytes.data(), kTokenFileMagic, shown) != 0) {
    reject(0, "does not start with 'LOGLOGTK'; text is made into a token file by `loglog data import`");
  }
  if (bytes.size() < sizeof header_) {
    reject(bytes.size(), fmt::format("ends inside the header of {} bytes", sizeof header_));
  }
  std::memcpy(&header_, bytes.data(), sizeof header_);
  const TokenFileHeader& h = header_;
  if (h.version != kTokenFileVersion && h.version != kMaskedTokenFileVersion) {
    reject(offsetof(TokenFileHeader, version),
           fmt::format("version {}, this program reads versions {} and {}{}", h.version, kTokenFileVersion,
                       kMaskedTokenFileVersion,
                       h.version > kMaskedTokenFileVersion ? "; use a newer loglog" : ""));
  }
  if (h.vocab_size == 0 || h.vocab_size > kMaxVocabulary) {
    reject(offsetof(TokenFileHeader, vocab_size),
           fmt::format("vocabulary of {}, allowed 1..{}", h.vocab_size, kMaxVocabulary));
  }
  if (h.token_bytes != token_bytes_for(h.vocab_size)) {
    reject(offsetof(TokenFileHeader, token_bytes),
           fmt::format("{} bytes per token, a vocabulary of {} needs {}", h.token_bytes, h.vocab_size,
                       token_bytes_for(h.vocab_size)));
  }
  if (h.data_offset % 64 != 0 || h.data_offset < sizeof h || h.data_offset > bytes.size()) {
    reject(offsetof(TokenFileHeader, data_offset),
           fmt::format("tokens start at {}, expected a multiple of 64 in {}..{} (file size)", h.data_offset,
                       sizeof h, bytes.size()));
  }
  if (h.meta_bytes > h.data_offset - sizeof h) {
    reject(offsetof(TokenFileHeader, meta_bytes),
           fmt::format("{} bytes of JSON, at most {} fit before the tokens", h.meta_bytes,
                       h.data_offset - sizeof h));
  }
  if (h.token_count == 0) reject(offsetof(TokenFileHeader, token_count), "holds no tokens");
  const std::uint64_t available = bytes.size() - h.data_offset;
  const bool too_many = h.token_count > available / h.token_bytes;  // asked first: products may overflow
  const std::uint64_t expected = too_many ? 0 : h.token_count * h.token_bytes + mask_bytes();
  if (too_many || expected != available) {
    reject(bytes.size(),
           fmt::format(
               "{} bytes of tokens{}, the header promises {} tokens of {} bytes: {}", available,
               h.version == kMaskedTokenFileVersion ? " and their mask" : "", h.token_count, h.token_bytes,
               too_many || expected > available ? "the file is truncated" : "something was appended"));
  }
  if (header_checksum(bytes.first(h.data_offset)) != h.header_checksum) {
    reject(offsetof(TokenFileHeader, header_checksum), "the header does not match its checksum");
  }
  tokens_ = bytes.data() + h.data_offset;
  if (h.version == kMaskedTokenFileVersion) mask_ = tokens_ + h.token_count * h.token_bytes;
}

std::string_view TokenFile::meta_text() const noexcept {
  const char* text = reinterpret_cast<const char*>(file_.bytes().data()) + sizeof(TokenFileHeader);
  return {text, header_.meta_bytes};
}

nlohmann::json TokenFile::meta() const {
  try {
    return nlohmann::json::parse(meta_text());
  } catch (
      const nlohmann::json::exception& error) {  // behind the checksum that open() looked at: out of range
    reject(sizeof(TokenFileHeader), fmt::format("bad header JSON: {}", error.what()));
  }
}

void TokenFile::parse_meta() {
  const FlatJson meta(meta_text(), path().native());
  const auto count = [&](const std::string& key) {
    const std::int64_t value = meta.whole(key);
    if (value < 0) reject(sizeof(TokenFileHeader), fmt::format("{} is {}", key, value));
    return static_cast<std::uint64_t>(value);
  };
  std::uint64_t expected_begin = 0;
  for (int i = 0; meta.contains(fmt::format("sources/{}/name", i)); ++i) {
    const std::string key = fmt::format("sources/{}/", i);
    Source source{meta.text(key + "name"), count(key + "begin"), count(key + "end"),
                  count(key + "documents")};
    if (source.begin != expected_begin || source.end < source.begin) {
      reject(sizeof(TokenFileHeader), fmt::format("source '{}' covers tokens {}..{}, expected a start at {}",
                                                  source.name, source.begin, source.end, expected_begin));
    }
    expected_begin = source.end;
    sources_.push_back(std::move(source));
  }
  if (expected_begin != header_.token_count) {
    reject(sizeof(TokenFileHeader),
           fmt::format("the sources cover {} of {} tokens", expected_begin, header_.token_count));
  }
  const auto special = [&](const std::string& key) -> std::optional<Token> {
    if (!meta.contains(key)) return {};
    const std::uint64_t token = count(key);
    if (token >= header_.vocab_size) {
      reject(sizeof(TokenFileHeader),
             fmt::format("{} is {}, outside the vocabulary of {}", key, token, header_.vocab_size));
    }
    return static_cast<Token>(token);
  };
  line_end_ = special("line_end");
  document_end_ = special("document_end");
  const std::string bytes_key = has_mask() ? "counted_bytes" : "text_bytes";
  const double text_bytes = meta.contains(bytes_key) ? meta.real(bytes_key) : 0;
  bytes_per_token_ = text_bytes / static_cast<double>(counted_tokens());
  if (!(bytes_per_token_ >= 0) || !std::isfinite(bytes_per_token_)) {
    reject(sizeof(TokenFileHeader), bytes_key + " is not a count");
  }
}

// Bits behind the last token must be 0, so that equal masks are equal bytes; a mask that counts nothing cannot be trained on.
void TokenFile::check_mask() const {
  if (!has_mask()) return;
  const std::uint64_t offset = header_.data_offset + header_.token_count * header_.token_bytes;
  if (counted_tokens() == 0) reject(offset, "by its mask no token counts");
  const std::uint64_t used = header_.token_count % 8;
  if (used > 0 && load<std::uint8_t>(mask_ + mask_bytes() - 1) >> used != 0)
    reject(offset + mask_bytes() - 1, "the mask has bits behind the last token");
}

void TokenFile::check_tokens() const {
  check_size();
  const std::uint64_t count = header_.token_count;
  const std::uint64_t found = XXH3_64bits(tokens_, count * header_.token_bytes + mask_bytes());
  if (found != header_.data_checksum) {
    reject(header_.data_offset, fmt::format("the data has checksum {:016x}, the header says {:016x}", found,
                                            header_.data_checksum));
  }
  const std::uint64_t limit = header_.vocab_size;
  if (limit == std::uint64_t{1} << (8 * header_.token_bytes)) return;  // every value is a token
  const std::uint64_t bad = header_.token_bytes == 1   ? first_at_least<std::uint8_t>(tokens_, count, limit)
                            : header_.token_bytes == 2 ? first_at_least<std::uint16_t>(tokens_, count, limit)
                                                       : first_at_least<std::uint32_t>(tokens_, count, limit);
  if (bad == count) return;
  const std::uint64_t offset = header_.data_offset + bad * header_.token_bytes;
  const std::uint32_t value = header_.token_bytes == 1   ? load<std::uint8_t>(tokens_ + bad)
                              : header_.token_bytes == 2 ? load<std::uint16_t>(tokens_ + 2 * bad)
                                                         : load<std::uint32_t>(tokens_ + 4 * bad);
  reject(offset, fmt::format("token {} is {}, outside the vocabulary of {}", bad, value, limit));
}

Token TokenFile::token(std::uint64_t i) const noexcept {
  Token value;
  read(i, {&value, 1});
  return value;
}

void TokenFile::read(std::uint64_t begin, std::span<Token> out) const noexcept {
  const std::byte* from = tokens_ + begin * header_.token_bytes;
  if (header_.token_bytes == 1) {
    widen<std::uint8_t>(from, out);
  } else if (header_.token_bytes == 2) {
    widen<std::uint16_t>(from, out);
  } else {
    widen<std::uint32_t>(from, out);
  }
}

void TokenFile::read_targets(std::uint64_t begin, std::span<Token> out) const noexcept {
  read(begin, out);
  if (!has_mask()) return;
  for (std::size_t i = 0; i < out.size(); ++i)
    if (!counts(begin + i)) out[i] = kIgnoredTarget;
}

bool TokenFile::counts(std::uint64_t i) const noexcept {
  return !has_mask() || (load<std::uint8_t>(mask_ + i / 8) >> i % 8 & 1) != 0;
}

std::uint64_t TokenFile::mask_bytes() const noexcept {
  return header_.version == kMaskedTokenFileVersion ? header_.token_count / 8 + (header_.token_count % 8 > 0)
                                                    : 0;
}

std::uint64_t TokenFile::counted_tokens() const noexcept {
  if (!has_mask()) return header_.token_count;
  std::uint64_t counted = 0;
  for (std::uint64_t i = 0; i < mask_bytes(); ++i)
    counted += static_cast<std::uint64_t>(std::popcount(load<std::uint8_t>(mask_ + i)));
  return counted;
}

std::span<const std::byte> TokenFile::bytes(std::uint64_t begin, std::uint64_t end) const noexcept {
  return {tokens_ + begin * header_.token_bytes, (end - begin) * header_.token_bytes};
}

}  // namespace loglog::data
