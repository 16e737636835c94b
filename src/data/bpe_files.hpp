// BPE vocabularies in the files of others.
//
//   tokenizer.json              Hugging Face "tokenizers", of byte-level BPE; others are refused by name
//   vocab.json, merges.txt      GPT-2's
//
// Both write bytes as the characters that GPT-2 gave them: printable ones stand for themselves, the others follow from U+0100 on.
#pragma once
#include "base/file.hpp"
#include "data/bpe.hpp"

namespace loglog::data {

// `path` is one of these files, or a folder with some. InputError naming file and field when it is damaged or is of a kind that is not
// read (which, and what would do).
Bpe read_bpe(const Path& path);
// The text of a tokenizer.json; `name` is what errors call it.
Bpe parse_bpe(const std::string& tokenizer_json, const std::string& name);

std::string to_tokenizer_json(const Bpe& bpe);
// The two files of GPT-2, which have no place for an expression: only for that of GPT-2 (UsageError).
struct Gpt2Files {
  std::string vocab_json, merges_txt;
};
Gpt2Files to_gpt2_files(const Bpe& bpe);

}  // namespace loglog::data
