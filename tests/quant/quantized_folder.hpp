// A quantised model on disk that a test takes apart, changes, and puts together again with the checksum that belongs to it.
#pragma once
#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "io/safetensors.hpp"
#include "quant/model_file.hpp"
#include "small_quantized.hpp"
#include "support/changed_bytes.hpp"
#include "support/faulty_file_system.hpp"
#include "support/temporary_folder.hpp"

namespace loglog::testing {

using Json = nlohmann::ordered_json;

struct FileTensor {
  std::string name;
  std::vector<std::uint64_t> shape;
  io::Dtype dtype;
  std::vector<std::byte> bytes;

  template <class T>
  T get(std::size_t i) const {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    return value;
  }
  template <class T>
  void set(std::size_t i, T value) {
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
};

class QuantizedFolder {
 public:
  Path path() const { return folder_.path() / "model"; }
  Path file(const char* name) const { return path() / name; }
  const Path& parent() const { return folder_.path(); }

  void write(const model::OpenedModel& model, const quant::QuantizedWeights& weights,
             const std::optional<quant::CalibrationRecord>& record = {}) const {
    std::filesystem::remove_all(path());
    quant::write_quantized_model(unsynced_file_system(), path(), model, weights,
                                 kernels::select_table("auto"), record);
  }

  std::vector<FileTensor> tensors() const {
    const io::SafetensorsFile from(file(quant::kQuantizedFile));
    std::vector<FileTensor> all;
    for (const io::TensorEntry& entry : from.tensors()) {
      FileTensor t{entry.name, entry.shape, entry.dtype, {}};
      t.bytes.resize(entry.elements() * io::bytes_of(entry.dtype));
      from.read_bytes(entry, t.bytes);
      all.push_back(std::move(t));
    }
    return all;
  }
  void write_tensors(const std::vector<FileTensor>& all) const {
    std::vector<io::TensorValues> values;
    for (const FileTensor& t : all)
      values.push_back(
          {.name = t.name, .shape = t.shape, .dtype = t.dtype, .make = [&t](std::span<std::byte> out) {
             std::ranges::copy(t.bytes, out.begin());
           }});
    io::write_safetensors(unsynced_file_system(), file(quant::kQuantizedFile), values, {});
    sign();
  }

  Json manifest() const { return Json::parse(read_text(file(quant::kQuantizationFile))); }
  void write_manifest(const Json& json) const { write_bytes(file(quant::kQuantizationFile), json.dump(2)); }
  // Makes the checksum that of what is there: of the tensors, then of config.toml, codec.json and the manifest without it, each behind
  // its length.
  void sign() const {
    Json json = manifest();
    json.erase("checksum");
    Hasher hasher;
    const auto add = [&](const std::string& text) { hasher.update(std::as_bytes(std::span(text))); };
    add(read_text(file(quant::kQuantizedFile)));
    const Path codec = file(model::kCodecFile);
    for (const std::string& text : {read_text(file(model::kConfigFile)),
                                    path_exists(codec) ? read_text(codec) : std::string(), json.dump(2)})
      add(std::to_string(text.size()) + " "), add(text);
    json["checksum"] = hasher.hex();
    write_manifest(json);
  }

  // Opens it and makes every weight.
  void use() const {
    const quant::QuantizedModel opened = quant::open_quantized_model(path());
    const kernels::KernelTable& table = kernels::select_table("auto");
    const model::Freeze freeze = opened.weights->freeze(table, nullptr);
    for (const model::ParameterShape& p : model::parameter_shapes(opened.model.config.model)) {
      std::vector<float> values(static_cast<std::size_t>(p.rows * p.cols));
      if (freeze(p.name, p.rows, p.cols) == nullptr) opened.weights->others().read(p.name, values);
    }
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace loglog::testing
