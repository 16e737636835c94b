// Token shards of other trainers to one token file.
//
//   llmc      256 int32: magic, version, count; then the tokens. 20240520 version 1: uint16 (GPT-2's vocabulary);
//             20240801 version 7: uint32 (Llama 3's)
//   nanogpt   uint16 tokens alone
//
// Source of the formats: llm.c (dev/data/data_common.py), nanoGPT (data/*/prepare.py).
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/import.hpp"

namespace loglog::data {

struct ShardOptions {
  std::string format;                  // "llmc" or "nanogpt"
  std::vector<TextSource> sources;     // neighbours of one name are one source
  std::optional<std::uint64_t> vocab;  // needed by nanogpt; llmc: 50257 or 128256
  std::string
      tokenizer;  // what read_codec() reads, if the tokens are to stand for text; empty: numbers alone
  std::vector<std::string> command;  // stored in the header
  std::function<bool()> stop_requested = [] { return false; };
  std::function<void(const TokenFile&)> accept = {};  // as ImportOptions
};

// Every token is checked. Of llmc's shards the token that stands in front of documents there, 50256 or 128000, is the document end
// here. UsageError for options; InputError naming file and offset for a shard that is no such one, is truncated, has bytes behind
// its tokens or a token outside the vocabulary.
TokenFile import_shards(FileSystem& fs, const ShardOptions& options, const Path& out);

}  // namespace loglog::data
