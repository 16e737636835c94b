// Text files to one token file.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/token_file.hpp"

namespace loglog::data {

struct TextSource {
  std::string name;
  Path path;
};

struct ImportOptions {
  std::vector<TextSource> sources;
  std::string tokenizer = "bytes";  // or "chars": those that turn up; or what read_codec() reads
  // Token that ends a document, in place of the tokenizer's own; of "chars" a code point.
  std::optional<Token> document_end = {};
  std::string invalid_utf8 = "error";  // or "replace"; only characters look
  std::string field;                   // of a JSON object per line; empty: plain text
  std::string prompt_field;            // stands before it, and does not count as a target; empty: none
  std::vector<std::string> command;    // stored in the header
  std::function<void(const TextSource&, std::uint64_t replaced)> on_replaced;  // ill-formed sequences, if any
  std::function<bool()> stop_requested = [] { return false; };                 // true: give up, exit code 75
  // Sees the result before it takes the place of what is there, and may throw to refuse it.
  std::function<void(const TokenFile&)> accept = {};
};

// Streams all sources into `out` (memory does not grow with the text, except for the longest JSON line) and
// opens the result. A document, which is a JSON line or a whole file, ends with the tokenizer's token for that. Where it has none, a
// JSON document ends with a line end, added where it has none. Prompt and text are encoded each for itself.
// UsageError for options, InputError naming file, line or offset for bad or unreadable input, IoError
// when `out` cannot be written.
TokenFile import_text(FileSystem& fs, const ImportOptions& options, const Path& out);

}  // namespace loglog::data
