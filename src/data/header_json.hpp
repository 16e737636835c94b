// What the trainer needs of a token file's JSON, without a tree of it: the tree's destructor allocates, which
// ends the program when memory runs out.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace loglog::data {

struct HeaderSource {
  std::optional<std::string> name;
  std::optional<std::uint64_t> begin;
  std::optional<std::uint64_t> end;
  std::uint64_t documents = 1;
};

struct HeaderFields {
  std::optional<std::vector<HeaderSource>> sources;  // of the key "sources"
  std::optional<std::uint64_t> line_end;
  double text_bytes = 0;
  std::string
      error;  // what is wrong with the JSON or with a type, "" when nothing is; the rest is then undefined
};

// Other keys are checked to be JSON and passed over. std::bad_alloc, nothing else, comes out.
HeaderFields read_header_json(std::string_view text);

}  // namespace loglog::data
