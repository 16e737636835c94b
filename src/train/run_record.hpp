// The record of a run: one JSON object per line. The format is described in docs/formats.md.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "base/file.hpp"

namespace loglog::train {

using Json = nlohmann::ordered_json;

inline constexpr int kRecordSchema = 1;

// A number as JSON. What is not finite becomes the string "nan", "inf" or "-inf": JSON has no such numbers,
// and a null would read as "absent".
Json number(double value);

class RunRecord {
 public:
  // Keeps the first `bytes` bytes of an earlier record and drops the rest; 0 starts an empty one. InputError
  // when the record is shorter than that.
  RunRecord(FileSystem& fs, Path path, std::uint64_t bytes);

  // Adds {"schema", "event", "step", ...fields}. Kept in memory until flush(), or until a MiB waits.
  void add(std::string_view event, std::int64_t step, const Json& fields);
  void flush();                                   // writes and syncs what was added
  std::uint64_t bytes() const { return bytes_; }  // that are safely written

 private:
  FileSystem& fs_;
  Path path_;
  std::string pending_;
  std::uint64_t bytes_ = 0;
};

}  // namespace loglog::train
