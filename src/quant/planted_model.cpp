#include "quant/planted_model.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/flat_json.hpp"
#include "io/safetensors.hpp"
#include "model/open_model.hpp"

namespace loglog::quant {
namespace {

using model::Gpt, model::NamedParameter;

constexpr const char* kFormat = "loglog planted";
constexpr std::int64_t kVersion = 1;

std::string to_json(const Planted& planted) {
  const nlohmann::ordered_json record = {{"format", kFormat},
                                         {"version", kVersion},
                                         {"scale", planted.planting.scale},
                                         {"one_signed", planted.planting.one_signed},
                                         {"channels", planted.planting.channels},
                                         {"layers", planted.planting.layers},
                                         {"original_xxh3_128", planted.checksum}};
  return record.dump(1) + "\n";
}

std::vector<std::uint64_t> shape_of(const NamedParameter& p) {
  return {static_cast<std::uint64_t>(p.tensor.rows), static_cast<std::uint64_t>(p.tensor.cols)};
}

void write_biases(FileSystem& fs, const Path& path, const Gpt& gpt, const Planted& planted) {
  const auto parameters = changed_biases(gpt, planted.planting.layers);
  std::vector<io::TensorValues> tensors;
  for (std::size_t i = 0; i < parameters.size(); ++i)
    tensors.push_back({parameters[i]->name, shape_of(*parameters[i]), planted.biases[i]});
  io::write_safetensors(fs, path, tensors, {{"format", kFormat}});
}

std::vector<std::vector<float>> read_biases(const Path& path, const Gpt& gpt, const Planting& planting) {
  if (!input_exists(path)) throw InputError(fmt::format("there is no '{}'", path.native()));
  const io::SafetensorsFile file(path);
  std::vector<io::TensorShape> wanted;
  for (const NamedParameter* p : changed_biases(gpt, planting.layers))
    wanted.push_back({p->name, shape_of(*p)});
  std::vector<std::vector<float>> biases;
  for (const io::TensorEntry* entry : io::find_tensors(file, wanted, io::Others::refused)) {
    biases.emplace_back(entry->elements());
    file.read(*entry, biases.back());
  }
  return biases;
}

std::vector<Index> read_numbers(const FlatJson& record, const std::string& field, const Path& path) {
  const std::optional<std::size_t> size = record.list_size(field);
  if (!size || *size == 0)
    throw InputError(fmt::format("'{}' is damaged: '{}' is not a list of numbers", path.native(), field));
  std::vector<Index> numbers;
  for (std::size_t i = 0; i < *size; ++i) numbers.push_back(record.whole(fmt::format("{}/{}", field, i)));
  return numbers;
}

bool read_flag(const FlatJson& record, const std::string& field, const Path& path) {
  const auto found = record.values().find(field);
  const bool* flag = found == record.values().end() ? nullptr : std::get_if<bool>(&found->second);
  if (flag == nullptr)
    throw InputError(fmt::format("'{}' is damaged: '{}' is not true or false", path.native(), field));
  return *flag;
}

void require_format(const FlatJson& record, const Path& path) {
  if (!record.contains("format") || record.text("format") != kFormat)
    throw InputError(fmt::format("'{}' is no record of planted outliers", path.native()));
  if (record.whole("version") > kVersion)
    throw InputError(
        fmt::format("'{}' has version {}, this program reads versions up to {}: use a newer loglog",
                    path.native(), record.whole("version"), kVersion));
}

}  // namespace

void write_planted_model(FileSystem& fs, const Path& folder, const model::RunConfig& config, const Gpt& gpt,
                         const std::string& tokenizer, const Planted& planted) {
  write_folder_atomically(fs, folder, [&](const Path& made) {
    model::write_model_folder(fs, made, config, gpt, tokenizer);
    if (planted.planting.one_signed) write_biases(fs, made / kPlantedTensors, gpt, planted);
    write_atomically(fs, made / kPlantedFile, to_json(planted));
  });
}

Planted read_planted(const Path& folder, const Gpt& gpt) {
  const Path path = folder / kPlantedFile;
  if (!input_exists(path))
    throw InputError(fmt::format("there is no '{}': nothing was planted in this model", path.native()));
  const FlatJson record(read_model_file(path), path.native());
  require_format(record, path);
  Planted planted;
  planted.planting = {.scale = record.real("scale"),
                      .one_signed = read_flag(record, "one_signed", path),
                      .channels = read_numbers(record, "channels", path),
                      .layers = read_numbers(record, "layers", path)};
  planted.checksum = record.text("original_xxh3_128");
  try {
    resolve(planted.planting, gpt.config());
  } catch (const UsageError& error) {  // written by a program: what is wrong is damage
    throw InputError(fmt::format("'{}': {}", path.native(), error.what()));
  }
  if (planted.planting.one_signed)
    planted.biases = read_biases(folder / kPlantedTensors, gpt, planted.planting);
  return planted;
}

Planted undo_planted(const Path& folder, Gpt& gpt) {
  Planted planted = read_planted(folder, gpt);
  if (undo(gpt, planted)) return planted;
  throw InputError(
      fmt::format("'{}': the parameters that come out are not those of before (original_xxh3_128): "
                  "'{}' or the record was changed since",
                  (folder / kPlantedFile).native(), model::kParameterFile));
}

}  // namespace loglog::quant
