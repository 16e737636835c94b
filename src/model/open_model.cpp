#include "model/open_model.hpp"

#include <fmt/format.h>

#include <algorithm>

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

OpenedModel open_run_folder(const Path& folder) {
  const CheckpointFolder checkpoints(real_file_system(), folder / kCheckpointFolder);
  const std::optional<CheckpointState> state = checkpoints.newest();
  if (!state) throw InputError(fmt::format("the run in '{}' has no checkpoint yet", folder.native()));
  return {state->config, "", state->isa, state->step, checkpoints.tensor_path(state->step)};
}

}  // namespace

OpenedModel open_model(const Path& folder) {
  OpenedModel model;
  if (path_exists(folder / kParameterFile)) {
    model = open_model_folder(folder);
  } else if (path_exists(folder / kCheckpointFolder)) {
    model = open_run_folder(folder);
  } else {
    throw InputError(
        fmt::format("'{}' is no model: neither a run of `loglog train --out` (which has '{}') nor a "
                    "model of `loglog import` (which has '{}')",
                    folder.native(), kCheckpointFolder, kParameterFile));
  }
  const Path codec = folder / kCodecFile;
  if (path_exists(codec)) model.tokenizer = read_input(codec);
  return model;
}

void load_parameters(const OpenedModel& model, Gpt& gpt) {
  const io::SafetensorsFile file(model.tensors);
  for (const NamedParameter& p : gpt.parameters()) {
    const io::TensorEntry* entry = file.find(p.name);
    if (entry == nullptr)
      throw InputError(fmt::format("'{}': tensor '{}' is missing", model.tensors.native(), p.name));
    const std::vector<std::uint64_t> shape = {static_cast<std::uint64_t>(p.tensor.rows),
                                              static_cast<std::uint64_t>(p.tensor.cols)};
    if (entry->shape != shape) {
      throw InputError(fmt::format("'{}': tensor '{}' is {}, the model has [{},{}]", model.tensors.native(),
                                   p.name, entry->shape_text(), p.tensor.rows, p.tensor.cols));
    }
    file.read(*entry, {p.tensor.value, static_cast<std::size_t>(p.tensor.size())});
  }
  gpt.values_changed();
  if (!model.isa.empty()) return;  // a checkpoint holds the optimiser's tensors too
  for (const io::TensorEntry& entry : file.tensors()) {
    const auto is_it = [&](const NamedParameter& p) { return p.name == entry.name; };
    if (std::ranges::none_of(gpt.parameters(), is_it)) {
      throw InputError(
          fmt::format("'{}': tensor '{}' is none of this model", model.tensors.native(), entry.name));
    }
  }
}

void write_model_folder(FileSystem& fs, const Path& folder, const RunConfig& config, const Gpt& gpt,
                        const std::string& tokenizer) {
  fs.create_directories(folder);
  write_atomically(fs, folder / kConfigFile, to_toml(config));
  if (!tokenizer.empty()) write_atomically(fs, folder / kCodecFile, tokenizer + "\n");
  std::vector<io::TensorValues> tensors;
  for (const NamedParameter& p : gpt.parameters()) {
    tensors.push_back({p.name,
                       {static_cast<std::uint64_t>(p.tensor.rows), static_cast<std::uint64_t>(p.tensor.cols)},
                       {p.tensor.value, static_cast<std::size_t>(p.tensor.size())}});
  }
  io::write_safetensors(fs, folder / kParameterFile, tensors, {{"format", "loglog model"}});
}

}  // namespace loglog::model
