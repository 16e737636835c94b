// A quantised model on disk: a folder with config.toml, codec.json, quantized.safetensors and, written last, quantization.json, which
// says by what scheme, and with a checksum what all of them must be. docs/formats.md has all names.
#pragma once
#include <memory>
#include <string>

#include "quant/weights.hpp"

namespace loglog::quant {

inline constexpr const char* kQuantizationFile = "quantization.json";
inline constexpr const char* kQuantizedFile = "quantized.safetensors";

// What the inputs were that a model was calibrated with.
struct CalibrationRecord {
  std::string data;      // checksum of the token file
  std::uint64_t tokens;  // that were looked at
  double share;          // Calibrated::share
};

// Makes the folder, whole or not at all; one weight at a time is in memory. `model` says whose weights these are.
void write_quantized_model(FileSystem& fs, const Path& folder, const model::OpenedModel& model,
                           const QuantizedWeights& weights, const kernels::KernelTable& table,
                           const std::optional<CalibrationRecord>& calibration);

bool is_quantized_folder(const Path& folder);
// The scheme of such a folder, of which nothing but quantization.json is read. InputError naming it when that is damaged.
std::string scheme_of_folder(const Path& folder);

// InputError naming file, tensor and what is wrong when anything is missing, altered, cut off, or does not fit together.
struct QuantizedModel {
  model::OpenedModel model;  // its parameters are those that stayed float32
  std::shared_ptr<const QuantizedWeights> weights;
  std::optional<CalibrationRecord> calibration;
};
QuantizedModel open_quantized_model(const Path& folder);

}  // namespace loglog::quant
