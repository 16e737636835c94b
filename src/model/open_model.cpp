#include "model/open_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "base/error.hpp"
#include "io/safetensors.hpp"
#include "model/checkpoint.hpp"

namespace loglog::model {
namespace {

void read_codec(OpenedModel& model, const Path& folder) {
  if (!input_exists(folder / kCodecFile)) return;
  model.codec = folder / kCodecFile;
  model.tokenizer = read_model_file(model.codec);
}

}  // namespace

void ParameterSource::each_rows(std::string_view name, Index rows, Index cols, Index /*most*/,
                                const TakeRows& take) const {
  take(0, ParameterMatrix(*this, name, rows, cols).values());
}

void each_rows_of(const io::SafetensorsFile& file, const io::TensorEntry& entry, Index rows, Index cols,
                  Index most, const TakeRows& take) {
  LOGLOG_CHECK(most > 0 && entry.elements() == static_cast<std::uint64_t>(rows * cols),
               "{} rows at a time of {}x{}, {} has {} elements", most, rows, cols, entry.name,
               entry.elements());
  const kernels::Block block(static_cast<std::size_t>(std::min(most, rows) * cols) * sizeof(float));
  for (Index first = 0; first < rows; first += most) {
    const Index count = std::min(most, rows - first);
    file.read_part(entry, static_cast<std::uint64_t>(first * cols),
                   {block.as<float>(), static_cast<std::size_t>(count * cols)});
    take(first, {block.as<float>(), count, cols});
  }
}

OpenedModel open_description(const Path& folder) {
  OpenedModel model;
  const Path file = folder / kConfigFile;
  const std::string toml = read_model_file(file);  // never waits for a pipe
  try {
    model.config = parse_config(toml, file.native());
    if (model.config.model.vocab == 0) throw UsageError("model.vocab is 0");
    resolve(model.config, model.config.model.vocab);
  } catch (const UsageError& error) {  // written by a program: what is wrong is damage
    throw InputError(fmt::format("'{}': {}", file.native(), error.what()));
  }
  read_codec(model, folder);
  return model;
}

namespace {

io::TensorShape shape_of(const std::string& name, Index rows, Index cols) {
  return {name, {static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(cols)}};
}

class SafetensorsParameters final : public ParameterSource {
 public:
  explicit SafetensorsParameters(const Path& path) : file_(path) {}

  // A checkpoint holds the optimiser's tensors too.
  void check(const ModelConfig& config, io::Others others) const {
    std::vector<io::TensorShape> wanted;
    for (const ParameterShape& p : parameter_shapes(config))
      wanted.push_back(shape_of(p.name, p.rows, p.cols));
    io::find_tensors(file_, wanted, others);
  }

  void read(std::string_view name, std::span<float> out) const override {
    file_.read(entry_of(name, out.size()), out);
  }
  void each_rows(std::string_view name, Index rows, Index cols, Index most,
                 const TakeRows& take) const override {
    const io::TensorEntry& entry = entry_of(name, static_cast<std::size_t>(rows * cols));
    each_rows_of(file_, entry, rows, cols, most, take);
  }

 private:
  const io::TensorEntry& entry_of(std::string_view name, std::size_t values) const {
    const io::TensorEntry* entry = file_.find(name);
    if (entry == nullptr)
      throw InputError(fmt::format("'{}': tensor '{}' is missing", file_.path().native(), name));
    if (entry->elements() != values) {
      throw InputError(fmt::format("'{}': tensor '{}' is {}, the model has {} values there",
                                   file_.path().native(), name, entry->shape_text(), values));
    }
    return *entry;
  }

  io::SafetensorsFile file_;
};

// Opens the file of tensors, which must be those of the configuration.
void open_tensors(OpenedModel& model, io::Others others) {
  auto parameters = std::make_shared<SafetensorsParameters>(model.tensors);
  parameters->check(model.config.model, others);
  model.parameters = std::move(parameters);
}

OpenedModel open_run_folder(const Path& folder) {
  const CheckpointFolder checkpoints(real_file_system(), folder / kCheckpointFolder);
  const std::optional<CheckpointState> state = checkpoints.newest();
  if (!state) throw InputError(fmt::format("the run in '{}' has no checkpoint yet", folder.native()));
  return open_checkpoint(checkpoints, *state);
}

}  // namespace

OpenedModel open_model(const Path& folder) {
  OpenedModel model;
  if (input_exists(folder / kParameterFile)) {
    model = open_description(folder);
    model.tensors = folder / kParameterFile;
    open_tensors(model, io::Others::refused);
  } else if (input_exists(folder / kCheckpointFolder)) {
    model = open_run_folder(folder);
    read_codec(model, folder);
  } else {
    throw InputError(
        fmt::format("'{}' is no model: neither a run of `loglog train --out` (which has '{}') nor a "
                    "model of `loglog import` (which has '{}')",
                    folder.native(), kCheckpointFolder, kParameterFile));
  }
  return model;
}

void GptParameters::read(std::string_view name, std::span<float> out) const {
  const auto& all = gpt_.parameters();
  const auto found = std::ranges::find(all, name, &NamedParameter::name);
  LOGLOG_CHECK(found != all.end() && static_cast<std::size_t>(found->tensor.size()) == out.size(),
               "{} values of a parameter {}", out.size(), name);
  std::copy_n(found->tensor.value, out.size(), out.data());
}

OpenedModel open_checkpoint(const CheckpointFolder& folder, const CheckpointState& state) {
  OpenedModel model;
  model.config = state.config;
  model.isa = state.isa;
  model.step = state.step;
  model.tensors = folder.tensor_path(state.step);
  open_tensors(model, io::Others::passed_over);
  return model;
}

std::vector<OpenedModel> open_checkpoints(const Path& run) {
  const CheckpointFolder folder(real_file_system(), run / kCheckpointFolder);
  std::vector<OpenedModel> all;
  for (const Index step : folder.steps()) all.push_back(open_checkpoint(folder, folder.at(step)));
  return all;
}

void load_parameters(const ParameterSource& parameters, Gpt& gpt) {
  for (const NamedParameter& p : gpt.parameters())
    parameters.read(p.name, {p.tensor.value, static_cast<std::size_t>(p.tensor.size())});
  gpt.values_changed();
}

std::string not_finite_notice(const ParameterSource& parameters, const ModelConfig& config) {
  Index count = 0;
  std::string first;
  for (const ParameterShape& p : parameter_shapes(config)) {
    const ParameterMatrix matrix(parameters, p.name, p.rows, p.cols);
    const float* const values = matrix.values().row(0);
    const auto bad =
        std::count_if(values, values + p.rows * p.cols, [](float x) { return !std::isfinite(x); });
    if (bad > 0 && first.empty()) first = p.name;
    count += bad;
  }
  if (count == 0) return "";
  return fmt::format("{} values are not finite, the first in '{}': this model predicts nothing", count,
                     first);
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
