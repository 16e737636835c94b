// Checkpoints of llm.c: 256 little-endian int32, then the tensors of a GPT-2 one after the other.
//
//   [0] magic 20240326   [1] 3: float32, 5: bfloat16   [2] context   [3] vocabulary   [4] layers   [5] heads   [6] width
//   [7] rows of the embedding: the vocabulary padded with zeros to a multiple of 128; the rest of the header is 0
//
// Source: https://github.com/karpathy/llm.c, train_gpt2.py write_model() and train_gpt2.c gpt2_build_from_checkpoint().
#pragma once
#include "formats/imported.hpp"
#include "io/dtype.hpp"

namespace loglog::formats {

inline constexpr std::int32_t kLlmcMagic = 20240326;

// InputError naming the file, the place and what would be right; the size of the file is checked before anything else is done.
ImportedModel import_llmc(const Path& file, const AcceptModel& accept = {});

// f32 (version 3) or bf16 (version 5). UsageError naming the key when the model is no GPT-2 with tanh GELU, epsilon 1e-5 and a tied head.
void export_llmc(FileSystem& fs, const Path& file, const model::Gpt& gpt, io::Dtype dtype);

}  // namespace loglog::formats
