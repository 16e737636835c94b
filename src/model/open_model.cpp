#include "model/open_model.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "io/safetensors.hpp"
#include "model/checkpoint.hpp"

namespace loglog::model {
namespace {

OpenedModel open_model_folder(const Path& folder) {
  OpenedModel model;
  model.tensors = folder / kParameterFile;
  try {
    model.config = read_config(folder / kConfigFile);
    if (model.config.model.vocab == 0) throw UsageError("model.vocab is 0");
    resolve(model.config, model.config.model.vocab);
  } catch (const UsageError& error) {  // written by a program: what is wrong is damage
    throw InputError(fmt::format("'{}': {}", (folder / kConfigFile).native(), error.what()));
  }
  return model;
}

io::TensorShape shape_of(const std::string& name, Index rows, Index cols) {
  return {name, {static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(cols)}};
}

// A checkpoint holds the optimiser's tensors too.
io::Others others_in(const OpenedModel& model) {
  return model.isa.empty() ? io::Others::refused : io::Others::passed_over;
}

void check_tensors(const OpenedModel& model) {
  std::vector<io::TensorShape> wanted;
  for (const ParameterShape& p : parameter_shapes(model.config.model))
    wanted.push_back(shape_of(p.name, p.rows, p.cols));
  io::find_tensors(io::SafetensorsFile(model.tensors), wanted, others_in(model));
}

OpenedModel open_run_folder(const Path& folder) {
  const CheckpointFolder checkpoints(real_file_system(), folder / kCheckpointFolder);
  const std::optional<CheckpointState> state = checkpoints.newest();
  if (!state) throw InputError(fmt::format("the run in '{}' has no checkpoint yet", folder.native()));
  return {state->config, "", state->isa, state->step, checkpoints.tensor_path(state->step), {}};
}

}  // namespace

OpenedModel open_model(const Path& folder) {
  OpenedModel model;
  if (input_exists(folder / kParameterFile)) {
    model = open_model_folder(folder);
  } else if (input_exists(folder / kCheckpointFolder)) {
    model = open_run_folder(folder);
  } else {
    throw InputError(
        fmt::format("'{}' is no model: neither a run of `loglog train --out` (which has '{}') nor a "
                    "model of `loglog import` (which has '{}')",
                    folder.native(), kCheckpointFolder, kParameterFile));
  }
  check_tensors(model);
  if (input_exists(folder / kCodecFile)) {
    model.codec = folder / kCodecFile;
    model.tokenizer = read_model_file(model.codec);
  }
  return model;
}

void load_parameters(const OpenedModel& model, Gpt& gpt) {
  const io::SafetensorsFile file(model.tensors);
  std::vector<io::TensorShape> wanted;
  for (const NamedParameter& p : gpt.parameters())
    wanted.push_back(shape_of(p.name, p.tensor.rows, p.tensor.cols));
  const auto entries = io::find_tensors(file, wanted, others_in(model));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const tensor::Parameter& p = gpt.parameters()[i].tensor;
    file.read(*entries[i], {p.value, static_cast<std::size_t>(p.size())});
  }
  gpt.values_changed();
}

void write_model_folder(FileSystem& fs, const Path& folder, const RunConfig& config, const Gpt& gpt,
                        const std::string& tokenizer) {
  std::vector<io::TensorValues> tensors;
  for (const NamedParameter& p : gpt.parameters()) {
    const auto [name, shape] = shape_of(p.name, p.tensor.rows, p.tensor.cols);
    tensors.push_back({name, shape, {p.tensor.value, static_cast<std::size_t>(p.tensor.size())}});
  }
  write_folder_atomically(fs, folder, [&](const Path& made) {
    write_atomically(fs, made / kConfigFile, to_toml(config));
    if (!tokenizer.empty()) write_atomically(fs, made / kCodecFile, tokenizer + "\n");
    io::write_safetensors(fs, made / kParameterFile, tensors, {{"format", "loglog model"}});
  });
}

}  // namespace loglog::model
