// Models of Hugging Face `transformers`: a folder with config.json and safetensors, of the architectures in architecture.hpp.
#pragma once
#include "formats/imported.hpp"
#include "io/safetensors.hpp"

namespace loglog::formats {

// InputError naming file and key, or file and tensor, of what is damaged, missing, left over or not covered. The tokenizer is read where it
// is byte-level BPE; otherwise a notice says why the model has none and runs on token ids.
ImportedModel import_hf(const Path& folder);

struct HfOptions {
  std::string architecture;                   // model_type; empty takes the first that can say the model
  io::Dtype dtype = io::Dtype::f32;           // or bf16
  std::uint64_t shard_bytes = 5'000'000'000;  // of data; a larger model is cut into several files
};

struct HfExport {
  std::string architecture;
  std::vector<std::string> files, notices;
};

// Writes config.json, the tensors and, where `tokenizer` (JSON as in a token file's header, or empty) is BPE, tokenizer.json into
// `folder`, which is made if need be; config.json last. UsageError when no architecture, or not the one asked for, can say the model.
HfExport export_hf(FileSystem& fs, const Path& folder, const model::Gpt& gpt, const std::string& tokenizer,
                   const HfOptions& options);

}  // namespace loglog::formats
