// The tensors of a folder as Hugging Face lays them out: one model.safetensors, or shards that model.safetensors.index.json lists:
// {"metadata": {"total_size": BYTES}, "weight_map": {"NAME": "model-00001-of-00002.safetensors", ...}}.
#pragma once
#include <deque>

#include "io/safetensors.hpp"

namespace loglog::io {

class TensorFolder {
 public:
  struct Tensor {
    const SafetensorsFile* file;
    const TensorEntry* entry;
    void read(std::span<float> out) const { file->read(*entry, out); }
  };

  // Opens and checks all files. InputError when there are none (and what would be right, where there is a pickle), when the index names a
  // file outside the folder, or when index and shards disagree about a tensor.
  explicit TensorFolder(const Path& folder);

  const Tensor* find(std::string_view name) const;  // null when there is none
  const std::map<std::string, Tensor, std::less<>>& tensors() const noexcept { return tensors_; }
  const Path& path() const noexcept { return folder_; }

 private:
  void add_file(const Path& path);
  void open_shards(const Path& index);

  Path folder_;
  std::deque<SafetensorsFile> files_;  // which tensors_ points into
  std::map<std::string, Tensor, std::less<>> tensors_;
};

// Writes the same layout into an existing folder: one file, or shards of at most `shard_bytes` of data each (a tensor is never cut), the
// index last. Returns the names of the files.
std::vector<std::string> write_tensor_folder(FileSystem& fs, const Path& folder,
                                             std::span<const TensorValues> tensors, const Metadata& metadata,
                                             Dtype dtype, std::uint64_t shard_bytes);

}  // namespace loglog::io
