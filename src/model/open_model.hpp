// Models on disk, opened for use: a run folder (`loglog train --out`), of which the newest checkpoint is taken, or a model folder
// (`loglog import`), which holds config.toml, model.safetensors and, where it is known how tokens stand for text, codec.json.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"
#include "io/safetensors.hpp"
#include "kernels/block.hpp"
#include "kernels/matrix.hpp"
#include "model/checkpoint.hpp"
#include "model/gpt.hpp"

namespace loglog::model {

inline constexpr const char* kConfigFile = "config.toml";
inline constexpr const char* kParameterFile = "model.safetensors";
// As `tokenizer` in a token file's header: {"kind": "bytes"}, ...
inline constexpr const char* kCodecFile = "codec.json";

// Gets the rows of a parameter from row `first` on.
using TakeRows = std::function<void(Index first, kernels::ConstMatrixRef rows)>;

// The values of a model's parameters where they lie, for one tensor at a time.
class ParameterSource {
 public:
  virtual ~ParameterSource() = default;
  // InputError naming file and tensor when the parameter of this name is not there with so many values.
  virtual void read(std::string_view name, std::span<float> out) const = 0;
  // Hands on the rows of a parameter (rows, cols) in order: `most` at a time where they lie together in a file, else all at once, so that
  // a large table need not be in memory beside what is made of it. InputError as above.
  virtual void each_rows(std::string_view name, Index rows, Index cols, Index most,
                         const TakeRows& take) const;
};

// The same of a tensor in a file, of so many elements.
void each_rows_of(const io::SafetensorsFile& file, const io::TensorEntry& entry, Index rows, Index cols,
                  Index most, const TakeRows& take);

// Those of a model in memory, which outlives this object.
class GptParameters final : public ParameterSource {
 public:
  explicit GptParameters(const Gpt& gpt) : gpt_(gpt) {}
  void read(std::string_view name, std::span<float> out) const override;

 private:
  const Gpt& gpt_;
};

// A parameter (rows, cols) in memory of its own.
class ParameterMatrix {
 public:
  // InputError as above.
  ParameterMatrix(const ParameterSource& source, std::string_view name, Index rows, Index cols)
      : block_(static_cast<std::size_t>(rows * cols) * sizeof(float)), rows_(rows), cols_(cols) {
    source.read(name, {block_.as<float>(), static_cast<std::size_t>(rows * cols)});
  }
  kernels::ConstMatrixRef values() const { return {block_.as<float>(), rows_, cols_}; }

 private:
  kernels::Block block_;
  Index rows_, cols_;
};

struct OpenedModel {
  RunConfig config;       // resolved; of a model folder the model part alone means something
  std::string tokenizer;  // text of `codec`, unchecked
  std::string isa;        // the instruction-set row that trained it; empty in a model folder
  Index step = 0;         // optimiser steps that are done
  Path tensors;           // safetensors file with the parameters, or the folder of such files
  std::shared_ptr<const ParameterSource> parameters;
  Path codec = {};  // that says how tokens stand for text; empty where there is none: config.data.path may
};

// InputError when the folder is missing, is neither of the two, or is damaged: says which file and how. Whether the tensors are those
// of the configuration is looked at here, so that nobody takes memory for what a file claims.
OpenedModel open_model(const Path& folder);
// What a folder's config.toml and codec.json say, without its tensors. InputError as above.
OpenedModel open_description(const Path& folder);
// The model of a run's checkpoint. InputError as above.
OpenedModel open_checkpoint(const CheckpointFolder& folder, const CheckpointState& state);
// Those of all checkpoints of a run, by step. InputError as above; none where there is no such folder.
std::vector<OpenedModel> open_checkpoints(const Path& run);

// Fills gpt's values, but for what is frozen. InputError naming the tensor where the shapes are not those of `gpt`.
void load_parameters(const ParameterSource& parameters, Gpt& gpt);
inline void load_parameters(const OpenedModel& model, Gpt& gpt) {
  load_parameters(*model.parameters, gpt);
}

// What to tell of a model some of whose values are not finite: how many, and where the first; empty when all are finite. Reads one tensor
// at a time. InputError as of ParameterSource.
std::string not_finite_notice(const ParameterSource& parameters, const ModelConfig& config);

// Makes a model folder, whole or not at all: config.model, the values of `gpt`, and the tokenizer where it is not empty. One that is
// there must be empty.
void write_model_folder(FileSystem& fs, const Path& folder, const RunConfig& config, const Gpt& gpt,
                        const std::string& tokenizer);

}  // namespace loglog::model
