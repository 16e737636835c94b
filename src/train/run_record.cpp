#include "train/run_record.hpp"

#include <fmt/format.h>

#include <cmath>

#include "base/error.hpp"
#include "base/json_text.hpp"

namespace loglog::train {

Json number(double value) {
  if (std::isfinite(value)) return value;
  if (std::isnan(value)) return "nan";
  return value > 0 ? "inf" : "-inf";
}

RunRecord::RunRecord(FileSystem& fs, Path path, std::uint64_t bytes)
    : fs_(fs), path_(std::move(path)), bytes_(bytes) {
  std::string text = bytes == 0 ? "" : read_text(path_);
  if (text.size() < bytes) {
    throw InputError(fmt::format("'{}' has {} bytes, its checkpoint was written when it had {}",
                                 path_.native(), text.size(), bytes));
  }
  text.resize(bytes);
  if (!text.empty() && text.back() != '\n') {
    throw InputError(fmt::format("'{}': the checkpoint's record_bytes, {}, is not behind the end of a line",
                                 path_.native(), bytes));
  }
  write_atomically(fs_, path_, text);
}

void RunRecord::add(std::string_view event, std::int64_t step, const Json& fields) {
  Json line = {{"schema", kRecordSchema}, {"event", event}, {"step", step}};
  line.update(fields);
  pending_ += json_text(line);
  pending_ += '\n';
  constexpr std::size_t kMostPending = std::size_t{1} << 20;
  if (pending_.size() >= kMostPending) flush();
}

void RunRecord::flush() {
  if (pending_.empty()) return;
  const auto file = fs_.open_append(path_);
  file->append(std::as_bytes(std::span(pending_)));
  file->sync();
  file->close();
  bytes_ += pending_.size();
  pending_.clear();
}

}  // namespace loglog::train
