// Several token files as one, each source as it is: what a mixture by weights draws from.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data/token_file.hpp"

namespace loglog::data {

struct MixOptions {
  std::vector<Path> files;
  std::vector<std::string> command;  // stored in the header
  std::function<bool()> stop_requested = [] { return false; };
};

// Sources keep their names; where two files have one of the same name, each is called FILE/NAME. Loss masks are kept.
// InputError for files that are damaged, or whose tokenizers differ (UsageError when there are fewer than two files).
TokenFile mix_token_files(FileSystem& fs, const MixOptions& options, const Path& out);

}  // namespace loglog::data
