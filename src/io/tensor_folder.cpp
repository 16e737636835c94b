#include "io/tensor_folder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.hpp"
#include "base/flat_json.hpp"

namespace loglog::io {
namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr std::string_view kSuffix = ".safetensors";

[[noreturn]] void refuse_without_tensors(const Path& folder) {
  const std::vector<std::string> names = list_directory(folder);
  const auto pickle = std::ranges::find_if(names, [](const std::string& name) {
    return name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth");
  });
  std::string why = fmt::format("'{}' holds neither {} nor {}", folder.native(), kSingle, kIndex);
  if (pickle != names.end()) {
    why += fmt::format(
        "; '{}' is a pickle, which may run code and is never read: load the model in Python and "
        "save_pretrained(DIR, safe_serialization=True)",
        *pickle);
  }
  throw InputError(why);
}

}  // namespace

TensorFolder::TensorFolder(const Path& folder) : folder_(folder) {
  if (input_exists(folder / kSingle)) {
    add_file(folder / kSingle);
  } else if (input_exists(folder / kIndex)) {
    open_shards(folder / kIndex);
  } else {
    refuse_without_tensors(folder);
  }
}

void TensorFolder::add_file(const Path& path) {
  const SafetensorsFile& file = files_.emplace_back(path);
  for (const TensorEntry& entry : file.tensors()) {
    const auto [other, is_new] = tensors_.emplace(entry.name, Tensor{&file, &entry});
    if (!is_new) {
      throw InputError(fmt::format("'{}': tensor '{}' is in '{}' too", path.native(), entry.name,
                                   other->second.file->path().native()));
    }
  }
}

void TensorFolder::open_shards(const Path& index) {
  constexpr std::string_view kMap = "weight_map/";
  const FlatJson json(read_model_file(index), index.native(), JsonNulls::left_out);
  std::map<std::string, std::string> file_of;  // of each tensor
  std::set<std::string> shards;
  for (const auto& [key, value] : json.values()) {
    if (!key.starts_with(kMap)) continue;
    const std::string& name = json.text(key);
    if (Path(name).filename() != name || !name.ends_with(kSuffix)) {
      throw InputError(fmt::format("'{}': {} is '{}', which must be the name of a {} file in the same folder",
                                   index.native(), key, name, kSuffix));
    }
    file_of.emplace(key.substr(kMap.size()), name);
    shards.insert(name);
  }
  if (shards.empty()) throw InputError(fmt::format("'{}': weight_map names no tensor", index.native()));
  for (const std::string& shard : shards) add_file(folder_ / shard);
  for (const auto& [name, shard] : file_of) {
    const Tensor* tensor = find(name);
    if (tensor == nullptr || tensor->file->path() != folder_ / shard) {
      throw InputError(fmt::format("'{}': tensor '{}' is to be in '{}', which has none of that name",
                                   index.native(), name, shard));
    }
  }
  for (const auto& [name, tensor] : tensors_) {
    if (!file_of.contains(name)) {
      throw InputError(fmt::format("'{}': tensor '{}' of '{}' is not in weight_map", index.native(), name,
                                   tensor.file->path().native()));
    }
  }
}

const TensorFolder::Tensor* TensorFolder::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

namespace {

// Cuts the list where the next tensor would make a shard too large.
std::vector<std::span<const TensorValues>> cut_into_shards(std::span<const TensorValues> tensors,
                                                           std::uint64_t element_bytes,
                                                           std::uint64_t shard_bytes) {
  std::vector<std::span<const TensorValues>> shards;
  std::size_t first = 0;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t more = tensors[i].elements() * element_bytes;
    if (i > first && bytes + more > shard_bytes) {
      shards.push_back(tensors.subspan(first, i - first));
      first = i, bytes = 0;
    }
    bytes += more;
  }
  shards.push_back(tensors.subspan(first));
  return shards;
}

}  // namespace

std::vector<std::string> write_tensor_folder(FileSystem& fs, const Path& folder,
                                             std::span<const TensorValues> tensors, const Metadata& metadata,
                                             Dtype dtype, std::uint64_t shard_bytes) {
  const std::uint64_t element_bytes = bytes_of(dtype);
  const auto shards = cut_into_shards(tensors, element_bytes, shard_bytes);
  if (shards.size() == 1) {
    write_safetensors(fs, folder / kSingle, tensors, metadata, dtype);
    return {kSingle};
  }
  std::vector<std::string> names;
  nlohmann::ordered_json map = nlohmann::ordered_json::object();
  std::uint64_t total = 0;
  for (const auto& shard : shards) {
    const std::string name = fmt::format("model-{:05}-of-{:05}{}", names.size() + 1, shards.size(), kSuffix);
    write_safetensors(fs, folder / name, shard, metadata, dtype);
    for (const TensorValues& t : shard) {
      map[t.name] = name;
      total += t.elements() * element_bytes;
    }
    names.push_back(name);
  }
  const nlohmann::ordered_json index = {{"metadata", {{"total_size", total}}}, {"weight_map", map}};
  write_atomically(fs, folder / kIndex, index.dump(2) + "\n");
  names.emplace_back(kIndex);
  return names;
}

}  // namespace loglog::io
