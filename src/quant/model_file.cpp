#include "quant/model_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "io/safetensors.hpp"
#include "quant/scheme_json.hpp"
#include "quant/weight_tensors.hpp"

namespace loglog::quant {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "loglog quantised model";
constexpr int kVersion = 1;

std::vector<io::TensorValues> tensors_of(const model::ModelConfig& config, const QuantizedWeights& weights,
                                         const kernels::KernelTable& table) {
  std::vector<io::TensorValues> tensors;
  for (const model::ParameterShape& p : model::parameter_shapes(config)) {
    const WeightTensors shape(p, weights.plan(), weights.float_rows(p.name));
    if (shape.form == WeightForm::float32) {
      tensors.push_back(
          {.name = p.name,
           .shape = {static_cast<std::uint64_t>(p.rows), static_cast<std::uint64_t>(p.cols)},
           .fill = [&weights, name = p.name](std::span<float> out) { weights.others().read(name, out); }});
      continue;
    }
    add_tensors(tensors, shape,
                [&weights, &table, p] { return *weights.weight(table, p.name, p.rows, p.cols); });
  }
  return tensors;
}

std::string manifest(const QuantizedWeights& weights, const std::string& checksum,
                     const std::optional<CalibrationRecord>& calibration) {
  Json json = {{"format", kFormat}, {"version", kVersion}};
  json["scheme"] = to_json(weights.plan().scheme);
  json["table"] = kTableForms[static_cast<int>(weights.plan().table)];
  if (calibration)
    json["calibration"] = {
        {"data", calibration->data}, {"tokens", calibration->tokens}, {"share", calibration->share}};
  json["checksum"] = checksum;
  return json.dump(2) + "\n";
}

// The weights of a file, whose checksum was right.
class WeightsOfFile final : public QuantizedWeights, public model::ParameterSource {
 public:
  WeightsOfFile(const Path& path, const Plan& plan, const model::ModelConfig& config)
      : file_(path), plan_(plan) {
    std::vector<io::TensorShape> wanted;
    for (const model::ParameterShape& p : model::parameter_shapes(config)) {
      const WeightTensors shape(p, plan, float_rows_in(file_, p.name));
      list_tensors(wanted, shape);
      shapes_.emplace(p.name, shape);
    }
    io::find_tensors(file_, wanted, io::Others::refused);
  }

  const Plan& plan() const override { return plan_; }
  const model::ParameterSource& others() const override { return *this; }
  Index float_rows(std::string_view name) const override { return shape_of(name).float_rows; }
  std::optional<QuantizedWeight> weight(const kernels::KernelTable&, std::string_view name, Index,
                                        Index) const override {
    const WeightTensors& shape = shape_of(name);
    if (shape.form == WeightForm::float32) return std::nullopt;
    return read_tensors(file_, shape, plan_);
  }
  void read(std::string_view name, std::span<float> out) const override {
    file_.read(*file_.find(shape_of(name).name), out);
  }

 private:
  const WeightTensors& shape_of(std::string_view name) const {
    const auto found = shapes_.find(name);
    if (found == shapes_.end())
      throw InputError(fmt::format("'{}': the model has no parameter '{}'", file_.path().native(), name));
    return found->second;
  }

  io::SafetensorsFile file_;
  Plan plan_;
  std::map<std::string, WeightTensors, std::less<>> shapes_;
};

struct Manifest {
  Plan plan;
  std::string checksum;
  std::optional<CalibrationRecord> calibration;
};

Manifest read_manifest(const Path& path) {
  const FlatJson json(read_model_file(path), path.native(), JsonNulls::left_out);
  if (json.text("format") != kFormat || json.whole("version") != kVersion) {
    throw InputError(fmt::format("'{}' is '{}' of version {}; this program reads '{}' of version {}",
                                 path.native(), json.text("format"), json.whole("version"), kFormat,
                                 kVersion));
  }
  Manifest m;
  m.plan = plan_from_json(json, path.native());
  m.checksum = json.text("checksum");
  if (json.contains("calibration/data")) {
    m.calibration = {json.text("calibration/data"),
                     static_cast<std::uint64_t>(json.whole("calibration/tokens")),
                     json.real("calibration/share")};
  }
  return m;
}

}  // namespace

void write_quantized_model(FileSystem& fs, const Path& folder, const model::OpenedModel& model,
                           const QuantizedWeights& weights, const kernels::KernelTable& table,
                           const std::optional<CalibrationRecord>& calibration) {
  write_folder_atomically(fs, folder, [&](const Path& made) {
    Hasher hasher;
    write_atomically(fs, made / kQuantizedFile, [&](WritableFile& file) {
      const auto put = [&](std::span<const std::byte> piece) {
        file.append(piece);
        hasher.update(piece);
      };
      io::write_safetensors(put, tensors_of(model.config.model, weights, table), {{"format", kFormat}});
    });
    write_atomically(fs, made / model::kConfigFile, model::to_toml(model.config));
    if (!model.tokenizer.empty()) write_atomically(fs, made / model::kCodecFile, model.tokenizer + "\n");
    write_atomically(fs, made / kQuantizationFile, manifest(weights, hasher.hex(), calibration));
  });
}

bool is_quantized_folder(const Path& folder) {
  return input_exists(folder / kQuantizationFile);
}

QuantizedModel open_quantized_model(const Path& folder) {
  Manifest m = read_manifest(folder / kQuantizationFile);
  const Path tensors = folder / kQuantizedFile;
  if (hash_hex_of_file(tensors) != m.checksum)
    throw InputError(fmt::format(
        "'{}' is not what {} describes: it was altered or cut off (checksum); quantise the model again",
        tensors.native(), kQuantizationFile));
  QuantizedModel result;
  result.model = model::open_description(folder);
  result.model.tensors = tensors;
  auto weights = std::make_shared<WeightsOfFile>(tensors, m.plan, result.model.config.model);
  result.model.parameters = weights;
  result.weights = weights;
  result.calibration = std::move(m.calibration);
  return result;
}

}  // namespace loglog::quant
