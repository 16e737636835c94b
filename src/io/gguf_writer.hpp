// Writes GGUF, version 3: keys with typed values, then tensors, each on a boundary of 32 bytes. There is no reader: nothing here trusts a
// file of that kind.
//
// Source: https://github.com/ggml-org/ggml, docs/gguf.md.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"
#include "io/dtype.hpp"

namespace loglog::io {

class GgufWriter {
 public:
  void add(std::string_view key, std::string_view text);
  void add(std::string_view key, const char* text) { add(key, std::string_view(text)); }
  void add(std::string_view key, std::uint32_t value);
  void add(std::string_view key, float value);
  void add(std::string_view key, bool value);
  void add(std::string_view key, const std::vector<std::string>& texts);
  void add(std::string_view key, const std::vector<std::int32_t>& values);

  // `shape` as rows, columns; `fill` is called once, while the file is written, with room for all elements. f32 or f16.
  void add_tensor(std::string name, std::vector<std::uint64_t> shape, Dtype dtype,
                  std::function<void(std::span<float>)> fill);

  // Beside its name, and renamed. ContractError when two tensors have a name.
  void write(FileSystem& fs, const Path& path) const;

 private:
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> shape;
    Dtype dtype;
    std::function<void(std::span<float>)> fill;
    std::uint64_t elements() const;
    std::uint64_t bytes() const { return elements() * bytes_of(dtype); }
  };
  void begin(std::string_view key, std::uint32_t type);
  std::string head() const;

  std::string values_;  // all keys and values, as they stand in the file
  std::uint64_t keys_ = 0;
  std::vector<Tensor> tensors_;
};

}  // namespace loglog::io
