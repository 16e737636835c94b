// Models with planted outliers on disk: a model folder (model/open_model.hpp) that has, besides, planted.json and, one-signed,
// planted.safetensors: docs/formats.md.
#pragma once
#include "base/file.hpp"
#include "quant/plant.hpp"

namespace loglog::quant {

inline constexpr const char* kPlantedFile = "planted.json";
inline constexpr const char* kPlantedTensors = "planted.safetensors";

// As model::write_model_folder, with the record.
void write_planted_model(FileSystem& fs, const Path& folder, const model::RunConfig& config,
                         const model::Gpt& gpt, const std::string& tokenizer, const Planted& planted);

// What was planted in the model of this folder, which `gpt` holds. InputError naming file and field when the record is missing, damaged
// or of another model.
Planted read_planted(const Path& folder, const model::Gpt& gpt);
// The same, and takes it back: gpt then is the model of before. InputError too when the parameters or the record were changed since.
Planted undo_planted(const Path& folder, model::Gpt& gpt);

}  // namespace loglog::quant
