#include "data/mix.hpp"

#include <fmt/format.h>

#include <map>

#include "base/error.hpp"
#include "data/text_reader.hpp"
#include "data/token_writer.hpp"

namespace loglog::data {
namespace {

constexpr std::uint64_t kChunk = 65536;  // tokens

// The entries of the header that say what a token means; of a world all but its seed.
nlohmann::json meaning_of(const nlohmann::json& meta) {
  nlohmann::json meaning;
  for (const char* key : {"tokenizer", "line_end", "document_end", "world"})
    if (meta.contains(key)) meaning[key] = meta[key];
  if (meaning.contains("world")) meaning["world"].erase("seed");
  return meaning;
}

void require_same_meaning(const TokenFile& a, const TokenFile& b) {
  const nlohmann::json first = meaning_of(a.meta()), other = meaning_of(b.meta());
  if (a.vocab_size() == b.vocab_size() && first == other) return;
  std::string what = fmt::format("vocabularies of {} and {}", a.vocab_size(), b.vocab_size());
  for (const auto& [key, value] : first.items())
    if (!other.contains(key) || other[key] != value) what = fmt::format("different '{}'", key);
  throw InputError(
      fmt::format("'{}' and '{}' have {}: import one with the tokenizer of the other (--tokenizer FILE.tok)",
                  a.path().native(), b.path().native(), what));
}

void copy_range(const TokenFile& file, std::uint64_t begin, std::uint64_t end, TokenWriter& writer) {
  std::vector<Token> tokens;
  for (std::uint64_t at = begin; at < end;) {
    file.check_size();
    // Up to the next token whose mask is another.
    const bool counts = file.counts(at);
    const std::uint64_t limit = std::min(end, at + kChunk);
    std::uint64_t next = file.has_mask() ? at + 1 : limit;
    while (next < limit && file.counts(next) == counts) ++next;
    tokens.resize(next - at);
    file.read(at, tokens);
    writer.append(tokens, counts ? Counts::yes : Counts::no);
    at = next;
  }
}

// Bytes of text, as far as every file has some.
void add_text_bytes(const std::vector<TokenFile>& files, nlohmann::json& meta) {
  std::uint64_t text = 0, counted = 0;
  for (const TokenFile& file : files) {
    const nlohmann::json own = file.meta();
    if (!own.contains("text_bytes")) return;
    const auto bytes = own.at("text_bytes").get<std::uint64_t>();
    text += bytes;
    counted += own.value("counted_bytes", bytes);
  }
  meta["text_bytes"] = text;
  if (counted < text) meta["counted_bytes"] = counted;
}

}  // namespace

TokenFile mix_token_files(FileSystem& fs, const MixOptions& options, const Path& out) {
  if (options.files.size() < 2) throw UsageError("data mix needs at least two token files");
  std::vector<TokenFile> files;
  std::map<std::string, int> uses;            // of each name
  std::map<std::string, Path> file_of_mixed;  // by FILE/NAME
  for (const Path& path : options.files) {
    files.push_back(TokenFile::open(path));
    require_same_meaning(files.front(), files.back());
    for (const Source& source : files.back().sources()) {
      ++uses[source.name];
      const auto [first, is_new] = file_of_mixed.emplace(source_name(path) + "/" + source.name, path);
      if (!is_new) {
        throw UsageError(
            fmt::format("'{}' and '{}' have one name and hold a source '{}' each: rename one of the files",
                        first->second.native(), path.native(), source.name));
      }
    }
  }
  nlohmann::json meta = meaning_of(files.front().meta());
  meta["command"] = options.command;
  add_text_bytes(files, meta);
  {
    TokenWriter writer(fs, out, token_bytes_for(files.front().vocab_size()), options.stop_requested);
    for (const TokenFile& file : files) {
      meta["mixed"].push_back({{"file", source_name(file.path())}, {"checksum", file.checksum_text()}});
      for (const Source& source : file.sources()) {
        const bool is_shared = uses[source.name] > 1;
        writer.begin_source(is_shared ? source_name(file.path()) + "/" + source.name : source.name);
        copy_range(file, source.begin, source.end, writer);
        writer.end_document(source.documents);
      }
    }
    writer.finish(files.front().vocab_size(), std::move(meta));
  }
  return TokenFile::open(out);
}

}  // namespace loglog::data
