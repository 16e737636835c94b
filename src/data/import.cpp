#include "data/import.hpp"

#include <fmt/format.h>

#include <memory>
#include <optional>

#include "base/error.hpp"
#include "data/text_reader.hpp"
#include "data/token_writer.hpp"
#include "data/tokenizer.hpp"

namespace loglog::data {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 18;

// Where text becomes tokens. Bytes are their own tokens; characters are spooled as code points and numbered
// when all are known.
class Encoder {
 public:
  Encoder(TokenWriter& writer, bool chars)
      : writer_(writer), chars_(chars), seen_(chars ? kCodePointLimit : 0) {}

  void begin(const TextSource& source) {
    writer_.begin_source(source.name);
    utf8_ = {};
  }

  void text(std::string_view chunk) {
    text_bytes_ += chunk.size();
    tokens_.clear();
    if (chars_) {
      utf8_.decode(chunk, tokens_);
    } else {
      for (const char c : chunk) tokens_.push_back(static_cast<unsigned char>(c));
    }
    write();
  }

  void end_document() {
    tokens_.clear();
    if (chars_) utf8_.finish(tokens_);
    write();
    writer_.end_document();
  }

  const Utf8Decoder& utf8() const noexcept { return utf8_; }

  void finish(nlohmann::json meta, const std::function<void(const TokenFile&)>& accept) {
    meta["text_bytes"] = text_bytes_;
    if (!chars_) {
      meta["tokenizer"] = {{"kind", "bytes"}};
      meta["line_end"] = '\n';
      writer_.finish(256, std::move(meta), {}, accept);
      return;
    }
    const CharVocabulary vocabulary = make_vocabulary(seen_);
    meta["tokenizer"] = {{"kind", "chars"}, {"code_points", vocabulary.code_points}};
    if (seen_['\n']) meta["line_end"] = vocabulary.ids['\n'];
    writer_.finish(std::max<std::size_t>(1, vocabulary.code_points.size()), std::move(meta), vocabulary.ids,
                   accept);
  }

 private:
  void write() {
    if (chars_) {
      for (const Token c : tokens_) seen_[static_cast<std::size_t>(c)] = true;
    }
    writer_.append(tokens_);
  }

  TokenWriter& writer_;
  bool chars_;
  std::vector<bool> seen_;  // by code point
  Utf8Decoder utf8_;
  std::vector<Token> tokens_;
  std::uint64_t text_bytes_ = 0;
};

void import_plain(TextReader& reader, Encoder& encoder) {
  std::vector<char> buffer(kChunk);
  while (const std::size_t count = reader.read(buffer)) encoder.text({buffer.data(), count});
  encoder.end_document();
}

// The text of one JSON line, without a final line end.
std::string field_of(std::string_view line, const ImportOptions& options, const TextSource& source,
                     std::uint64_t number, std::uint64_t offset) {
  const auto reject = [&](std::string_view what) {
    throw InputError(fmt::format("'{}' line {} (byte {}): {}", source.path.native(), number, offset, what));
  };
  try {
    const auto object = nlohmann::json::parse(line);
    if (!object.is_object()) reject("expected a JSON object");
    const auto field = object.find(options.field);
    if (field == object.end()) reject(fmt::format("has no field '{}'", options.field));
    if (!field->is_string()) reject(fmt::format("field '{}' is no string", options.field));
    return field->get<std::string>();
  } catch (const nlohmann::json::exception& error) {
    reject(fmt::format("no valid JSON: {}", error.what()));
  }
  return {};
}

void import_lines(TextReader& reader, Encoder& encoder, const ImportOptions& options,
                  const TextSource& source) {
  std::vector<char> buffer(kChunk);
  std::string line;
  std::uint64_t number = 0;
  std::uint64_t offset = 0;
  const auto end_line = [&] {
    ++number;
    if (line.find_first_not_of(" \t\r") != std::string::npos) {
      std::string text = field_of(line, options, source, number, offset);
      if (text.empty() || text.back() != '\n') text.push_back('\n');
      encoder.text(text);
      encoder.end_document();
    }
    offset += line.size() + 1;
    line.clear();
  };
  while (const std::size_t count = reader.read(buffer)) {
    std::string_view chunk(buffer.data(), count);
    for (std::size_t end; (end = chunk.find('\n')) != std::string_view::npos; chunk.remove_prefix(end + 1)) {
      line.append(chunk.substr(0, end));
      end_line();
    }
    line.append(chunk);
  }
  if (!line.empty()) end_line();
}

void report_invalid(const Utf8Decoder& utf8, const ImportOptions& options, const TextSource& source) {
  if (utf8.errors() == 0) return;
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
  if (options.tokenizer != tokenizers[0] && options.tokenizer != tokenizers[1]) {
    throw_unknown_name("--tokenizer", options.tokenizer, tokenizers);
  }
  constexpr std::string_view policies[] = {"error", "replace"};
  if (options.invalid_utf8 != policies[0] && options.invalid_utf8 != policies[1]) {
    throw_unknown_name("--invalid-utf8", options.invalid_utf8, policies);
  }
  if (options.sources.empty()) throw UsageError("no text to import: name at least one file");
}

}  // namespace

TokenFile import_text(FileSystem& fs, const ImportOptions& options, const Path& out) {
  check_options(options);
  const bool chars = options.tokenizer == "chars";
  {
    TokenWriter writer(fs, out, chars ? 4 : 1, options.stop_requested);
    Encoder encoder(writer, chars);
    for (const TextSource& source : options.sources) {
      const std::uint64_t before = writer.size();
      const auto reader = open_text(source.path);
      encoder.begin(source);
      if (options.field.empty()) {
        import_plain(*reader, encoder);
      } else {
        import_lines(*reader, encoder, options, source);
      }
      report_invalid(encoder.utf8(), options, source);
      if (writer.size() == before) throw InputError(fmt::format("'{}' holds no text", source.path.native()));
    }
    encoder.finish({{"command", options.command}}, options.accept);
  }
  return TokenFile::open(out);
}

}  // namespace loglog::data
