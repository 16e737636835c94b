// The safetensors format: 8 bytes of header length, a JSON header, the bytes of the tensors.
//
// Source: https://github.com/huggingface/safetensors, README, "Format". The reader trusts nothing: header at most 16 MiB, that starts
// with '{'; no name and no key twice; known types; sizes that follow from the shapes; tensors that fill the data without gap or overlap.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"

namespace loglog::io {

// The types whose values are read here, as float32. Files may hold tensors of others (masks, counters), which stay unread.
enum class Dtype { f32, f16, bf16, other };

struct TensorEntry {
  std::string name;
  std::string dtype_name;  // as in the file: "F32", "I64", ...
  Dtype dtype = Dtype::other;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0;  // in the data, bytes
  std::uint64_t end = 0;

  std::uint64_t elements() const;  // product of the shape, which the reader has checked
  std::string shape_text() const;  // "[2,3]"
};

class SafetensorsFile {
 public:
  // Maps the file and checks the whole header. InputError naming file, byte, tensor and field.
  explicit SafetensorsFile(const Path& path);

  const Path& path() const noexcept { return file_.path(); }
  const std::vector<TensorEntry>& tensors() const noexcept { return tensors_; }  // in the order of the data
  const TensorEntry* find(std::string_view name) const;                          // null when there is none
  const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }

  // out.size() == entry.elements(). InputError when the type is `other` or the file has shrunk.
  void read(const TensorEntry& entry, std::span<float> out) const;

 private:
  MappedFile file_;
  std::vector<TensorEntry> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;  // by name
  std::map<std::string, std::string> metadata_;
  std::uint64_t data_offset_ = 0;
};

// Values to be written. `values` is row-major and has as many elements as the shape says.
struct TensorValues {
  std::string name;
  std::vector<std::uint64_t> shape;
  std::span<const float> values;
};

// Hands the file to `put` piece by piece, data on a cache line; f32 or bf16 (rounded to nearest even). ContractError when a name is there
// twice or a shape does not fit its values.
using Metadata = std::vector<std::pair<std::string, std::string>>;
void write_safetensors(const std::function<void(std::span<const std::byte>)>& put,
                       std::span<const TensorValues> tensors, const Metadata& metadata,
                       Dtype dtype = Dtype::f32);
// The same, beside its name and renamed.
void write_safetensors(FileSystem& fs, const Path& path, std::span<const TensorValues> tensors,
                       const Metadata& metadata, Dtype dtype = Dtype::f32);

}  // namespace loglog::io
