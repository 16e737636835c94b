#include "data/import.hpp"

#include <fmt/format.h>

#include <memory>
#include <optional>

#include "base/error.hpp"
#include "data/json_lines.hpp"
#include "data/text_codec.hpp"
#include "data/text_reader.hpp"
#include "data/token_writer.hpp"

namespace loglog::data {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 18;

// How the texts of an import become tokens.
class ImportTokenizer {
 public:
  virtual ~ImportTokenizer() = default;
  virtual std::uint32_t spool_bytes() const = 0;
  virtual std::unique_ptr<TextEncoder> encoder() = 0;
  // As encoders have tokens, if there is one.
  const std::optional<Token>& document_end() const { return document_end_; }
  struct Final {
    std::unique_ptr<TextCodec> codec;
    std::vector<Token> remap;  // of what encoders gave, to the codec's tokens; empty: they are the same
  };
  virtual Final finish() = 0;  // once all texts are through

 protected:
  explicit ImportTokenizer(std::optional<Token> document_end) : document_end_(document_end) {}

 private:
  std::optional<Token> document_end_;
};

[[noreturn]] void refuse_document_end(Token token, Token vocabulary) {
  throw UsageError(
      fmt::format("--document-end {}: must be a token from 0 to {} of the tokenizer", token, vocabulary - 1));
}

// With a codec that is known beforehand.
class KnownTokenizer final : public ImportTokenizer {
 public:
  KnownTokenizer(std::unique_ptr<TextCodec> codec, std::optional<Token> document_end)
      : ImportTokenizer(document_end ? document_end : codec->document_end()), codec_(std::move(codec)) {
    if (document_end && *document_end >= codec_->vocab_size())
      refuse_document_end(*document_end, codec_->vocab_size());
  }
  std::uint32_t spool_bytes() const override {
    return token_bytes_for(static_cast<std::uint64_t>(codec_->vocab_size()));
  }
  std::unique_ptr<TextEncoder> encoder() override { return codec_->encoder(); }
  Final finish() override { return {std::move(codec_), {}}; }

 private:
  std::unique_ptr<TextCodec> codec_;
};

// Code points, which get their numbers when all are known.
class CodePointEncoder final : public TextEncoder {
 public:
  explicit CodePointEncoder(std::vector<bool>& seen) : seen_(seen) {}
  void encode(std::string_view chunk, std::vector<Token>& out) override {
    const std::size_t before = out.size();
    utf8_.decode(chunk, out);
    note(out, before);
  }
  void finish(std::vector<Token>& out) override {
    const std::size_t before = out.size();
    utf8_.finish(out);
    note(out, before);
  }
  const Utf8Decoder* utf8() const override { return &utf8_; }

 private:
  void note(const std::vector<Token>& tokens, std::size_t from) {
    for (std::size_t i = from; i < tokens.size(); ++i) seen_[static_cast<std::size_t>(tokens[i])] = true;
  }
  std::vector<bool>& seen_;
  Utf8Decoder utf8_;
};

class CharsOfTheText final : public ImportTokenizer {
 public:
  explicit CharsOfTheText(std::optional<Token> document_end) : ImportTokenizer(document_end) {
    if (!document_end) return;
    if (*document_end >= kCodePointLimit) refuse_document_end(*document_end, kCodePointLimit);
    seen_[static_cast<std::size_t>(*document_end)] = true;
  }
  std::uint32_t spool_bytes() const override { return sizeof(Token); }
  std::unique_ptr<TextEncoder> encoder() override { return std::make_unique<CodePointEncoder>(seen_); }
  Final finish() override {
    CharVocabulary vocabulary = make_vocabulary(seen_);
    return {make_chars_codec(std::move(vocabulary.code_points)), std::move(vocabulary.ids)};
  }

 private:
  std::vector<bool> seen_ = std::vector<bool>(kCodePointLimit);
};

std::unique_ptr<ImportTokenizer> tokenizer_of(const ImportOptions& options) {
  if (options.tokenizer == "chars") return std::make_unique<CharsOfTheText>(options.document_end);
  return std::make_unique<KnownTokenizer>(read_codec(options.tokenizer), options.document_end);
}

// The texts of one source after the other on their way into the file.
class TextSink {
 public:
  TextSink(TokenWriter& writer, ImportTokenizer& tokenizer) : writer_(writer), tokenizer_(tokenizer) {}

  void begin(const TextSource& source) {
    writer_.begin_source(source.name);
    source_ = &source;
    encoder_ = tokenizer_.encoder();
  }

  void text(std::string_view chunk, Counts counts = Counts::yes) {
    text_bytes_ += chunk.size();
    if (counts == Counts::yes) counted_bytes_ += chunk.size();
    append(counts, [&] { encoder_->encode(chunk, tokens_); });
  }
  // What comes next is encoded for itself.
  void end_text(Counts counts = Counts::yes) {
    append(counts, [&] { encoder_->finish(tokens_); });
  }
  void end_document() {
    end_text();
    if (const auto end = tokenizer_.document_end()) writer_.append({&*end, 1});
    writer_.end_document();
  }
  bool marks_documents() const { return tokenizer_.document_end().has_value(); }

  const Utf8Decoder* utf8() const { return encoder_->utf8(); }

  void finish(nlohmann::json meta, const std::function<void(const TokenFile&)>& accept) {
    meta["text_bytes"] = text_bytes_;
    if (counted_bytes_ < text_bytes_) meta["counted_bytes"] = counted_bytes_;
    const auto [codec, remap] = tokenizer_.finish();
    describe_tokenizer(*codec, meta);
    if (const auto end = tokenizer_.document_end())
      meta["document_end"] = remap.empty() ? *end : remap[static_cast<std::size_t>(*end)];
    writer_.finish(static_cast<std::uint64_t>(codec->vocab_size()), std::move(meta), remap, accept);
  }

 private:
  template <class Encode>
  void append(Counts counts, Encode&& encode) {
    tokens_.clear();
    try {
      encode();
    } catch (const InputError& error) {
      throw InputError(fmt::format("'{}': {}", source_->path.native(), error.what()));
    }
    writer_.append(tokens_, counts);
  }

  TokenWriter& writer_;
  ImportTokenizer& tokenizer_;
  const TextSource* source_ = nullptr;
  std::unique_ptr<TextEncoder> encoder_;
  std::vector<Token> tokens_;
  std::uint64_t text_bytes_ = 0;
  std::uint64_t counted_bytes_ = 0;
};

void import_plain(TextReader& reader, TextSink& sink) {
  std::vector<char> buffer(kChunk);
  while (const std::size_t count = reader.read(buffer)) sink.text({buffer.data(), count});
  sink.end_document();
}

void write_document(const std::string& prompt, const std::string& text, TextSink& sink) {
  if (!prompt.empty()) {
    sink.text(prompt, Counts::no);
    sink.end_text(Counts::no);
  }
  sink.text(text);
  const bool has_end = sink.marks_documents() || (!text.empty() && text.back() == '\n');
  if (!has_end) sink.text("\n");
  sink.end_document();
}

void import_lines(TextReader& reader, TextSink& sink, const ImportOptions& options,
                  const TextSource& source) {
  for_each_json_line(reader, source.path, [&](const JsonLine& line) {
    const std::string prompt = options.prompt_field.empty() ? "" : line.text(options.prompt_field);
    write_document(prompt, line.text(options.field), sink);
  });
}

void report_invalid(const Utf8Decoder* looked, const ImportOptions& options, const TextSource& source) {
  if (looked == nullptr || looked->errors() == 0) return;
  const Utf8Decoder& utf8 = *looked;
  if (options.invalid_utf8 == "error") {
    throw InputError(
        fmt::format("'{}' is not valid UTF-8: {} ill-formed sequence{}, the first at byte {}; --invalid-utf8 "
                    "replace puts "
                    "U+FFFD there, --tokenizer bytes takes any file",
                    source.path.native(), utf8.errors(), utf8.errors() == 1 ? "" : "s", utf8.first_error()));
  }
  if (options.on_replaced) options.on_replaced(source, utf8.errors());
}

void check_options(const ImportOptions& options) {
  constexpr std::string_view tokenizers[] = {"bytes", "chars"};
  const bool is_file =
      options.tokenizer.find_first_of("./") != std::string::npos || path_exists(options.tokenizer);
  if (options.tokenizer != tokenizers[0] && options.tokenizer != tokenizers[1] && !is_file) {
    throw_unknown_name("--tokenizer", options.tokenizer, tokenizers);
  }
  if (options.field.empty() && !options.prompt_field.empty())
    throw UsageError("--prompt-field needs --field, which names the text that follows the prompt");
  constexpr std::string_view policies[] = {"error", "replace"};
  if (options.invalid_utf8 != policies[0] && options.invalid_utf8 != policies[1]) {
    throw_unknown_name("--invalid-utf8", options.invalid_utf8, policies);
  }
  if (options.sources.empty()) throw UsageError("no text to import: name at least one file");
}

}  // namespace

TokenFile import_text(FileSystem& fs, const ImportOptions& options, const Path& out) {
  check_options(options);
  {
    const auto tokenizer = tokenizer_of(options);
    TokenWriter writer(fs, out, tokenizer->spool_bytes(), options.stop_requested);
    TextSink sink(writer, *tokenizer);
    for (const TextSource& source : options.sources) {
      const std::uint64_t before = writer.size();
      const auto reader = open_text(source.path);
      sink.begin(source);
      if (options.field.empty()) {
        import_plain(*reader, sink);
      } else {
        import_lines(*reader, sink, options, source);
      }
      report_invalid(sink.utf8(), options, source);
      const bool is_empty = writer.size() == before + (options.field.empty() && sink.marks_documents());
      if (is_empty) throw InputError(fmt::format("'{}' holds no text", source.path.native()));
    }
    sink.finish({{"command", options.command}}, options.accept);
  }
  return TokenFile::open(out);
}

}  // namespace loglog::data
