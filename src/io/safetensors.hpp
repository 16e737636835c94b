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
#include "io/dtype.hpp"

namespace loglog::io {

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

  // out.size() == entry.elements(). InputError when the type is not a floating-point one or the file has shrunk. What was read counts
  // no longer as memory of the process.
  void read(const TensorEntry& entry, std::span<float> out) const;
  // The same of as many elements as `out` has, from `first` on.
  void read_part(const TensorEntry& entry, std::uint64_t first, std::span<float> out) const;
  // The elements as they are, of any type.
  void read_bytes(const TensorEntry& entry, std::span<std::byte> out) const;

 private:
  std::span<const std::byte> bytes_of(const TensorEntry& entry) const;
  void in_pieces(std::span<const std::byte> bytes,
                 const std::function<void(std::size_t at, std::span<const std::byte> piece)>& take) const;

  MappedFile file_;
  std::vector<TensorEntry> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;  // by name
  std::map<std::string, std::string> metadata_;
  std::uint64_t data_offset_ = 0;
};

// Which tensor is wanted.
struct TensorShape {
  std::string name;
  std::vector<std::uint64_t> shape;
};
enum class Others : bool { refused, passed_over };

// The entry of each of `wanted`. InputError naming file and tensor when one is missing or has another shape, or when one is left over
// and others are refused.
std::vector<const TensorEntry*> find_tensors(const SafetensorsFile& file, std::span<const TensorShape> wanted,
                                             Others others);

// Values to be written, row-major: in memory, or made by `fill` when it is their turn, with room for all elements; or elements of a type of
// their own, whose bytes `make` writes.
struct TensorValues {
  std::string name;
  std::vector<std::uint64_t> shape;
  std::span<const float> values;
  std::function<void(std::span<float>)> fill = {};
  Dtype dtype = Dtype::other;  // of what is made
  std::function<void(std::span<std::byte>)> make = {};

  std::uint64_t elements() const;  // product of the shape
};

// Hands the file to `put` piece by piece, data on a cache line; f32 or bf16 (rounded to nearest even). ContractError when a name is there
// twice or a shape does not fit its values. Of what is filled, memory holds one tensor at a time.
using Metadata = std::vector<std::pair<std::string, std::string>>;
void write_safetensors(const std::function<void(std::span<const std::byte>)>& put,
                       std::span<const TensorValues> tensors, const Metadata& metadata,
                       Dtype dtype = Dtype::f32);
// The same, beside its name and renamed.
void write_safetensors(FileSystem& fs, const Path& path, std::span<const TensorValues> tensors,
                       const Metadata& metadata, Dtype dtype = Dtype::f32);

}  // namespace loglog::io
