// Arrays as numpy writes them (.npy): a magic, a header in Python's words, the numbers.
//
// Source: numpy.lib.format, "Format Version 1.0" to "3.0". Read are little-endian floats of 2, 4 and 8 bytes in C order; 8 bytes are
// rounded to float32. Everything else of the format is refused by name.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/file.hpp"

namespace loglog::io {

class NpyFile {
 public:
  // Maps the file and checks the whole header. InputError naming file, byte and field; also when the shape does not take exactly the bytes
  // behind it.
  explicit NpyFile(const Path& path);

  const Path& path() const noexcept { return file_.path(); }
  const std::vector<std::uint64_t>& shape() const noexcept { return shape_; }  // empty: one number
  std::uint64_t elements() const;
  // out.size() == elements(). InputError when the file has shrunk.
  void read(std::span<float> out) const;

 private:
  MappedFile file_;
  std::vector<std::uint64_t> shape_;
  std::size_t item_bytes_ = 0;
  std::uint64_t data_offset_ = 0;
};

}  // namespace loglog::io
