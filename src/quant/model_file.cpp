#include "quant/model_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/check.hpp"
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

Json manifest(const QuantizedWeights& weights, const std::optional<CalibrationRecord>& calibration) {
  Json json = {{"format", kFormat}, {"version", kVersion}};
  json["scheme"] = to_json(weights.plan().scheme);
  json["table"] = kTableForms[static_cast<int>(weights.plan().table)];
  if (calibration)
    json["calibration"] = {
        {"data", calibration->data}, {"tokens", calibration->tokens}, {"share", calibration->share}};
  return json;
}

void add_text(Hasher& hasher, std::string_view text) {
  hasher.update(std::as_bytes(std::span(text)));
}

// Of all that a folder holds, so that none of it can be altered without being noticed: of the tensors, which `hasher` has seen, of
// the other files, and of the manifest without its checksum.
std::string checksum_of(Hasher& hasher, std::string_view config, std::string_view codec, Json manifest) {
  manifest.erase("checksum");
  const std::string rest = manifest.dump(2);
  for (const std::string_view text : {config, codec, std::string_view(rest)}) {
    add_text(hasher, std::to_string(text.size()) + " ");  // where one ends and the next begins
    add_text(hasher, text);
  }
  return hasher.hex();
}

// Piece by piece: what was seen no longer counts as memory of the process.
void add_file(Hasher& hasher, const Path& path) {
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  const MappedFile file = map_input(path);
  for (std::span<const std::byte> rest = file.bytes(); !rest.empty();) {
    const std::span<const std::byte> piece = rest.first(std::min(kPiece, rest.size()));
    file.check_size();
    hasher.update(piece);
    file.give_back(piece);
    rest = rest.subspan(piece.size());
  }
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
    const WeightTensors& shape = shape_of(name);
    if (shape.form != WeightForm::float32) refuse_quantized_parameter(name);
    LOGLOG_CHECK(out.size() == static_cast<std::size_t>(shape.rows * shape.cols),
                 "{} values of parameter {}x{}", out.size(), shape.rows, shape.cols);
    file_.read(*file_.find(shape.name), out);
  }
  // Of bfloat16 too, which are floats.
  void each_rows(std::string_view name, Index rows, Index cols, Index most,
                 const model::TakeRows& take) const override {
    const WeightTensors& shape = shape_of(name);
    if (shape.form != WeightForm::float32 && shape.form != WeightForm::bf16) refuse_quantized_parameter(name);
    const io::TensorEntry& entry = shape.form == WeightForm::bf16
                                       ? entry_of_type(file_, shape.name, io::Dtype::bf16)
                                       : *file_.find(shape.name);
    model::each_rows_of(file_, entry, rows, cols, most, take);
  }

 private:
  [[noreturn]] void refuse_quantized_parameter(std::string_view name) const {
    throw InputError(fmt::format("'{}': parameter '{}' is quantised there", file_.path().native(), name));
  }
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
  Json json;
  Plan plan;
  std::string checksum;
  std::optional<CalibrationRecord> calibration;
};

Manifest read_manifest(const Path& path) {
  const std::string text = read_model_file(path);
  const FlatJson json(text, path.native(), JsonNulls::left_out);
  if (json.text("format") != kFormat || json.whole("version") != kVersion) {
    throw InputError(fmt::format("'{}' is '{}' of version {}; this program reads '{}' of version {}",
                                 path.native(), json.text("format"), json.whole("version"), kFormat,
                                 kVersion));
  }
  Manifest m;
  m.json = Json::parse(text);
  m.plan = plan_from_json(json, path.native());
  m.checksum = json.text("checksum");
  if (json.contains("calibration/data")) {
    const std::int64_t tokens = json.whole("calibration/tokens");
    if (tokens < 0)
      throw InputError(fmt::format("'{}': calibration/tokens is {}, below 0", path.native(), tokens));
    m.calibration = {json.text("calibration/data"), static_cast<std::uint64_t>(tokens),
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
    const std::string config = model::to_toml(model.config);
    const std::string codec = model.tokenizer.empty() ? "" : model.tokenizer + "\n";
    write_atomically(fs, made / model::kConfigFile, config);
    if (!codec.empty()) write_atomically(fs, made / model::kCodecFile, codec);
    Json json = manifest(weights, calibration);
    json["checksum"] = checksum_of(hasher, config, codec, json);
    write_atomically(fs, made / kQuantizationFile, json.dump(2) + "\n");
  });
}

bool is_quantized_folder(const Path& folder) {
  return input_exists(folder / kQuantizationFile);
}

std::string scheme_of_folder(const Path& folder) {
  return read_manifest(folder / kQuantizationFile).plan.scheme.name;
}

QuantizedModel open_quantized_model(const Path& folder) {
  Manifest m = read_manifest(folder / kQuantizationFile);
  const Path tensors = folder / kQuantizedFile;
  QuantizedModel result;
  result.model = model::open_description(folder);
  result.model.tensors = tensors;
  Hasher hasher;
  add_file(hasher, tensors);
  const std::string config = read_model_file(folder / model::kConfigFile);
  if (checksum_of(hasher, config, result.model.tokenizer, std::move(m.json)) != m.checksum)
    throw InputError(fmt::format(
        "'{}' is not what {} describes: it, or a file beside it, was altered or cut off (checksum); "
        "quantise the model again",
        tensors.native(), kQuantizationFile));
  auto weights = std::make_shared<WeightsOfFile>(tensors, m.plan, result.model.config.model);
  result.model.parameters = weights;
  result.weights = weights;
  result.calibration = std::move(m.calibration);
  return result;
}

}  // namespace loglog::quant
