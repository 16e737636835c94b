// Writes a token file as its tokens arrive, in bounded memory.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/token_file.hpp"

namespace loglog::data {

// UsageError when it is a pipe or a device: nobody could map what is written. IoError as check_writable().
void check_target(FileSystem& fs, const Path& path);

// Counts, checksums and a vocabulary of characters are known only at the end, but stand in front: tokens are
// spooled to a temporary file beside it and copied behind the header by finish(). The spool is removed in any case;
// without finish() the target is untouched.
class TokenWriter {
 public:
  // `spool_bytes` per token: 1, 2 or 4, wide enough for every value that will be appended. append() asks
  // `stop_requested` now and then and throws Error with exit code 75 when it says so. Calls check_target().
  TokenWriter(
      FileSystem& fs, Path path, std::uint32_t spool_bytes,
      std::function<bool()> stop_requested = [] { return false; });
  ~TokenWriter();
  TokenWriter(const TokenWriter&) = delete;
  TokenWriter& operator=(const TokenWriter&) = delete;

  void begin_source(const std::string& name);  // needed before the first token
  void end_document(std::uint64_t documents = 1) noexcept { sources_.back().documents += documents; }
  void append(std::span<const Token> tokens, Counts counts = Counts::yes);
  std::uint64_t size() const noexcept { return count_; }

  // Writes the file atomically. `remap` gives the final token for a spooled one (empty: unchanged); `meta`
  // gets "sources" added. Sources without tokens are dropped. InputError when there are no tokens at all. `accept`
  // sees the whole file, under a temporary name, before it takes its place: what it throws leaves the target untouched.
  void finish(std::uint64_t vocab_size, nlohmann::json meta, std::span<const Token> remap = {},
              const std::function<void(const TokenFile&)>& accept = {});

 private:
  void flush();
  void append_mask(std::uint64_t tokens, Counts counts);
  void copy_tokens(WritableFile& file, std::uint32_t token_bytes, std::span<const Token> remap,
                   std::uint64_t* checksum) const;

  FileSystem& fs_;
  Path path_;
  Path spool_path_;
  std::uint32_t spool_bytes_;
  std::function<bool()> stop_requested_;
  std::unique_ptr<WritableFile> spool_;
  std::vector<std::byte> buffer_;
  std::uint64_t count_ = 0;
  std::vector<Source> sources_;
  // A bit per token from the first that does not count on: the one thing that grows with the file, by an eighth of a byte
  // per token.
  std::vector<std::byte> mask_;
};

}  // namespace loglog::data
