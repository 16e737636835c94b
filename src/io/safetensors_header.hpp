// The JSON header of a safetensors file, as it stands there: names, types, shapes, offsets. What they mean together is checked by
// SafetensorsFile.
#pragma once
#include <string_view>

#include "io/safetensors.hpp"

namespace loglog::io {

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  // in the order of the header
  std::map<std::string, std::string> metadata;
};

// `text` begins at byte `first` of the file that messages call `file`. InputError naming byte, tensor and field.
SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t first, std::string_view file);

}  // namespace loglog::io
