// Models of Hugging Face `transformers`: a folder with config.json and safetensors, of the architectures in architecture.hpp.
#pragma once
#include "data/text_codec.hpp"
#include "formats/imported.hpp"
#include "io/dtype.hpp"
#include "model/open_model.hpp"

namespace loglog::formats {

// InputError naming file and key, or file and tensor, of what is damaged, missing, left over or not covered. The tokenizer is read where it
// is byte-level BPE; otherwise a notice says why the model has none and runs on token ids.
ImportedModel import_hf(const Path& folder, const AcceptModel& accept = {});

// The same, its tensors left where they are until they are read.
struct OpenedHf {
  model::OpenedModel model;
  std::vector<std::string> notices;
};
OpenedHf open_hf(const Path& folder);
// Whether a folder looks like one of these and not like one of ours.
bool is_hf_folder(const Path& folder);

struct HfOptions {
  std::string architecture;                   // model_type; empty takes the first that can say the model
  io::Dtype dtype = io::Dtype::f32;           // or bf16
  std::uint64_t shard_bytes = 5'000'000'000;  // of data; a larger model is cut into several files
};

struct HfExport {
  std::string architecture;
  std::vector<std::string> files, notices;
};

// Makes `folder`, whole or not at all, with config.json, the tensors and, where `codec` (or null) is BPE and has no more tokens than the
// model, tokenizer.json. UsageError when no architecture, or not the one asked for, can say the model.
HfExport export_hf(FileSystem& fs, const Path& folder, const model::Gpt& gpt, const data::TextCodec* codec,
                   const HfOptions& options);

}  // namespace loglog::formats
