// GGUF of llama.cpp, written only. Architectures gpt2, gptneox, llama and qwen2 of that program; it knows no OPT.
//
// Source: https://github.com/ggml-org/llama.cpp, convert_hf_to_gguf.py and src/llama-arch.cpp.
#pragma once
#include <string>
#include <vector>

#include "data/text_codec.hpp"
#include "formats/imported.hpp"
#include "io/dtype.hpp"

namespace loglog::formats {

struct GgufExport {
  std::string architecture;
  std::vector<std::string> notices;
};

// Matrices as f32 or f16, vectors and positions as f32. `codec` (or null) has no more tokens than the model. UsageError when llama.cpp
// has no architecture for the model (says why of each), or a weight is too large for f16 (names it).
GgufExport export_gguf(FileSystem& fs, const Path& file, const model::Gpt& gpt, const data::TextCodec* codec,
                       io::Dtype dtype);

}  // namespace loglog::formats
