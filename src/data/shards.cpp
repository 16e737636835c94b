#include "data/shards.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "data/text_codec.hpp"
#include "data/token_writer.hpp"

namespace loglog::data {
namespace {

constexpr std::size_t kHeaderBytes = 256 * sizeof(std::int32_t);
constexpr std::size_t kChunk = std::size_t{1} << 16;  // tokens

// What a shard says of itself.
struct Shard {
  std::size_t begin;        // byte of the first token
  std::size_t token_bytes;  // 2 or 4
  std::uint64_t vocab;
  std::optional<Token> document_end;
};

std::uint32_t load(const std::byte* from, std::size_t bytes) {
  std::uint32_t value = 0;
  std::memcpy(&value, from, bytes);  // little-endian
  return value;
}

[[noreturn]] void reject(const MappedFile& file, std::uint64_t offset, const std::string& what) {
  throw InputError(fmt::format("'{}': at byte {}: {}", file.path().native(), offset, what));
}

Shard read_llmc_header(const MappedFile& file) {
  constexpr std::uint32_t kMagic16 = 20240520, kVersion16 = 1, kMagic32 = 20240801, kVersion32 = 7;
  const auto bytes = file.bytes();
  if (bytes.size() < kHeaderBytes)
    reject(file, bytes.size(), fmt::format("ends inside llm.c's header of {} bytes", kHeaderBytes));
  const auto field = [&](std::size_t i) {
    return load(bytes.data() + i * sizeof(std::int32_t), sizeof(std::int32_t));
  };
  const bool narrow = field(0) == kMagic16;
  if (!narrow && field(0) != kMagic32)
    reject(file, 0,
           fmt::format("begins with {}, llm.c's token shards with {} or {}; --shards nanogpt reads tokens "
                       "without a header",
                       field(0), kMagic16, kMagic32));
  const std::uint32_t version = narrow ? kVersion16 : kVersion32;
  if (field(1) != version)
    reject(file, 4, fmt::format("version {}, of shards {} is read", field(1), version));
  Shard shard =
      narrow ? Shard{kHeaderBytes, 2, 50257, Token{50256}} : Shard{kHeaderBytes, 4, 128256, Token{128000}};
  const std::uint64_t expected = kHeaderBytes + std::uint64_t{field(2)} * shard.token_bytes;
  if (field(2) > 0x7FFFFFFF) reject(file, 8, fmt::format("{} tokens", static_cast<std::int32_t>(field(2))));
  if (expected != bytes.size())
    reject(file, bytes.size(),
           fmt::format("{} tokens of {} bytes end at byte {}: {}", field(2), shard.token_bytes, expected,
                       expected > bytes.size() ? "the file is truncated" : "something was appended"));
  return shard;
}

Shard read_header(const MappedFile& file, const ShardOptions& options) {
  Shard shard = options.format == "llmc" ? read_llmc_header(file) : Shard{0, 2, 0, {}};
  if ((file.bytes().size() - shard.begin) % shard.token_bytes != 0)
    reject(file, file.bytes().size(),
           "an odd number of bytes: the file is truncated, or holds no uint16 tokens");
  if (file.bytes().size() == shard.begin) reject(file, shard.begin, "holds no tokens");
  if (options.vocab) shard.vocab = *options.vocab;
  if (shard.document_end && static_cast<std::uint64_t>(*shard.document_end) >= shard.vocab)
    shard.document_end.reset();  // a smaller vocabulary than llm.c's own has no such token
  return shard;
}

// The vocabulary of all shards, and what is known of its text.
class Vocabulary {
 public:
  explicit Vocabulary(const ShardOptions& options) {
    if (!options.tokenizer.empty()) codec_ = read_codec(options.tokenizer);
  }

  void take(const MappedFile& file, const Shard& shard) {
    if (size_ > 0 && size_ != shard.vocab)
      reject(file, 0,
             fmt::format("has a vocabulary of {}, the shards before it one of {}", shard.vocab, size_));
    if (codec_ && static_cast<std::uint64_t>(codec_->vocab_size()) != shard.vocab)
      throw UsageError(fmt::format("the tokenizer has {} tokens, '{}' has a vocabulary of {}",
                                   codec_->vocab_size(), file.path().native(), shard.vocab));
    size_ = shard.vocab;
    document_end_ = shard.document_end;
    if (!codec_) return;
    if (codec_->document_end()) document_end_ = codec_->document_end();
    if (lengths_.empty())
      for (Token token = 0; token < codec_->vocab_size(); ++token)
        lengths_.push_back(token == document_end_ ? 0 : codec_->bytes_of(token).size());
  }

  std::uint64_t size() const { return size_; }
  std::optional<Token> document_end() const { return document_end_; }
  void count_text(std::span<const Token> tokens) {
    if (lengths_.empty()) return;
    for (const Token token : tokens) text_bytes_ += lengths_[static_cast<std::size_t>(token)];
  }

  void describe(nlohmann::json& meta) const {
    if (codec_) {
      describe_tokenizer(*codec_, meta);
      meta["text_bytes"] = text_bytes_;
    } else {
      meta["tokenizer"] = {{"kind", "ids"}};
    }
    if (document_end()) meta["document_end"] = *document_end();
  }

 private:
  std::unique_ptr<TextCodec> codec_;
  std::uint64_t size_ = 0;
  std::optional<Token> document_end_;
  std::vector<std::uint64_t> lengths_;  // of the text of each token
  std::uint64_t text_bytes_ = 0;
};

void copy_tokens(const MappedFile& file, const Shard& shard, Vocabulary& vocabulary, TokenWriter& writer) {
  std::vector<Token> tokens;
  std::uint64_t documents = 0;
  for (std::size_t at = shard.begin; at < file.bytes().size();) {
    file.check_size();
    tokens.clear();
    for (; at < file.bytes().size() && tokens.size() < kChunk; at += shard.token_bytes) {
      const std::uint32_t value = load(file.bytes().data() + at, shard.token_bytes);
      if (value >= vocabulary.size())
        reject(file, at, fmt::format("token {}, outside the vocabulary of {}", value, vocabulary.size()));
      tokens.push_back(static_cast<Token>(value));
    }
    if (const auto end = vocabulary.document_end())
      documents += static_cast<std::uint64_t>(std::count(tokens.begin(), tokens.end(), *end));
    vocabulary.count_text(tokens);
    writer.append(tokens);
  }
  writer.end_document(std::max<std::uint64_t>(1, documents));
}

void check_options(const ShardOptions& options) {
  constexpr std::string_view formats[] = {"llmc", "nanogpt"};
  if (options.format != formats[0] && options.format != formats[1])
    throw_unknown_name("--shards", options.format, formats);
  if (options.sources.empty()) throw UsageError("no shards to import: name at least one file");
  if (options.format == "nanogpt" && !options.vocab)
    throw UsageError(
        "--shards nanogpt needs --vocab V: the files do not say how many different tokens there are (GPT-2 "
        "has 50257)");
}

}  // namespace

TokenFile import_shards(FileSystem& fs, const ShardOptions& options, const Path& out) {
  check_options(options);
  {
    Vocabulary vocabulary(options);
    TokenWriter writer(fs, out, sizeof(Token), options.stop_requested);
    std::string last;
    for (const TextSource& source : options.sources) {
      const MappedFile file = map_input(source.path);
      const Shard shard = read_header(file, options);
      vocabulary.take(file, shard);
      if (writer.size() == 0 || source.name != last) writer.begin_source(source.name);
      last = source.name;
      copy_tokens(file, shard, vocabulary, writer);
    }
    nlohmann::json meta = {{"command", options.command}};
    vocabulary.describe(meta);
    writer.finish(vocabulary.size(), std::move(meta), {}, options.accept);
  }
  return TokenFile::open(out);
}

}  // namespace loglog::data
