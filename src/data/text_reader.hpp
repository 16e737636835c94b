// Reads text files as a stream of bytes, unpacking .gz, .xz and .zst on the way.
#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "base/file.hpp"

namespace loglog::data {

class TextReader {
 public:
  virtual ~TextReader() = default;
  // Fills the front of `out`, which is not empty, and returns how many bytes; 0 at the end.
  // InputError, with the offset inside the packed file, when the packed data is damaged or stops early.
  virtual std::size_t read(std::span<char> out) = 0;
};

// The packing is recognised by the first bytes of the file. Several packed streams in one file follow each other, as
// the command line tools do it. InputError when the file cannot be opened, and when its name ends in that of a packing
// that it has not (".gz" on plain text) or that is not read (".bz2").
std::unique_ptr<TextReader> open_text(const Path& path);

// The name without folder and without ".xz", ".txt" and the like: the default name of a source.
std::string source_name(const Path& path);

}  // namespace loglog::data
