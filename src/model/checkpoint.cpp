#include "model/checkpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/flat_json.hpp"
#include "base/hash.hpp"
#include "model/config_value.hpp"

namespace loglog::model {
namespace {

constexpr std::size_t kKept = 2;  // the newest, and one more should its disk go bad
constexpr std::string_view kFormat = "loglog checkpoint";
constexpr std::string_view kPrefix = "step-";

std::string stem(Index step) {
  return fmt::format("{}{:012}", kPrefix, step);
}

std::string tensor_file(Index step) {
  return stem(step) + ".safetensors";
}

std::string manifest_file(Index step) {
  return stem(step) + ".json";
}

// Steps that have a manifest, newest first.
std::vector<Index> listed_steps(const Path& folder) {
  std::vector<Index> steps;
  for (const std::string& name : list_directory(folder)) {
    if (!name.starts_with(kPrefix) || !name.ends_with(".json")) continue;
    const Index step = std::strtoll(name.c_str() + kPrefix.size(), nullptr, 10);
    if (name == manifest_file(step)) steps.push_back(step);
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

// The header of the safetensors format: 8 bytes of length, then JSON padded with spaces so that data starts
// on a cache line.
std::string safetensors_header(Index step, std::span<const CheckpointTensor> tensors) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", kFormat}, {"step", std::to_string(step)}};
  std::size_t offset = 0;
  for (const CheckpointTensor& t : tensors) {
    LOGLOG_CHECK(t.rows * t.cols == static_cast<Index>(t.values.size()), "{} is {}x{} with {} values", t.name,
                 t.rows, t.cols, t.values.size());
    LOGLOG_CHECK(!header.contains(t.name), "two tensors are called {}", t.name);
    const std::size_t end = offset + t.values.size_bytes();
    header[t.name] = {{"dtype", "F32"}, {"shape", {t.rows, t.cols}}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append((64 - (sizeof(std::uint64_t) + text.size()) % 64) % 64, ' ');
  const std::uint64_t length = text.size();
  std::string out(reinterpret_cast<const char*>(&length), sizeof(length));
  return out + text;
}

std::string manifest_text(const CheckpointState& state, std::uint64_t bytes, const std::string& checksum) {
  nlohmann::ordered_json m;
  m["format"] = kFormat;
  m["version"] = kCheckpointVersion;
  m["step"] = state.step;
  m["windows"] = state.windows;
  m["seconds"] = state.seconds;
  m["train_seconds"] = state.train_seconds;
  m["train_loss"] = state.train_loss;
  m["record_bytes"] = state.record_bytes;
  m["identity"] = state.identity;
  m["isa"] = state.isa;
  m["files"] = {{{"name", tensor_file(state.step)}, {"bytes", bytes}, {"xxh3_128", checksum}}};
  m["config"] = nlohmann::ordered_json::parse(to_json(state.config));
  return m.dump(2) + "\n";
}

void reject_field(const Path& path, std::string_view field, Index found, Index expected) {
  throw InputError(
      fmt::format("'{}' is damaged: {} is {}, expected {}", path.native(), field, found, expected));
}

CheckpointState parse_manifest(const FlatJson& m, Index step, const Path& path) {
  if (!m.contains("format") || m.text("format") != kFormat) {
    throw InputError(fmt::format("'{}' is no checkpoint manifest", path.native()));
  }
  if (m.whole("version") > kCheckpointVersion) {
    throw InputError(
        fmt::format("'{}' has version {}, this program reads versions up to {}: use a newer loglog",
                    path.native(), m.whole("version"), kCheckpointVersion));
  }
  CheckpointState state;
  state.step = m.whole("step");
  state.windows = m.whole("windows");
  state.seconds = m.real("seconds");
  state.train_seconds = m.real("train_seconds");
  state.train_loss = m.real("train_loss");
  state.record_bytes = static_cast<std::uint64_t>(m.whole("record_bytes"));
  state.identity = m.text("identity");
  state.isa = m.text("isa");
  state.config = from_flat_json(m, "config/", path.native());
  if (state.step != step) reject_field(path, "step", state.step, step);
  const Index windows = state.step * state.config.train.batch;
  if (state.windows != windows) reject_field(path, "windows", state.windows, windows);
  return state;
}

void verify_file(const Path& path, std::uint64_t bytes, const std::string& checksum) {
  const MappedFile file(path);
  const std::uint64_t found = file.bytes().size();
  if (found != bytes) {
    throw InputError(fmt::format("'{}' is {} bytes {}", path.native(),
                                 found < bytes ? bytes - found : found - bytes,
                                 found < bytes ? "short" : "too long"));
  }
  if (hash_hex(file.bytes()) != checksum) {
    throw InputError(fmt::format("'{}' is damaged: its checksum does not match the manifest", path.native()));
  }
}

CheckpointState verified(const Path& folder, Index step) {
  const Path path = folder / manifest_file(step);
  try {
    const FlatJson manifest(read_text(path), path.native());
    CheckpointState state = parse_manifest(manifest, step, path);
    const std::string& name = manifest.text("files/0/name");
    if (Path(name).filename() != name) {
      throw InputError(fmt::format("'{}' names a file of another folder: '{}'", path.native(), name));
    }
    verify_file(folder / name, static_cast<std::uint64_t>(manifest.whole("files/0/bytes")),
                manifest.text("files/0/xxh3_128"));
    return state;
  } catch (const IoError& error) {  // a listed file that is not there is damage, not trouble with the disk
    throw InputError(error.what());
  }
}

// Where the values of each tensor lie in the file, after checking that exactly the wanted ones are there.
std::vector<std::span<const std::byte>> locate(const MappedFile& file,
                                               std::span<const CheckpointTensor> tensors) {
  const std::span<const std::byte> bytes = file.bytes();
  const auto reject = [&](const std::string& what) {
    throw InputError(fmt::format("'{}': {}", file.path().native(), what));
  };
  std::uint64_t length = 0;
  if (bytes.size() < sizeof(length)) reject("too short for a safetensors file");
  std::memcpy(&length, bytes.data(), sizeof(length));
  if (length > bytes.size() - sizeof(length))
    reject(fmt::format("header of {} bytes is longer than the file", length));
  const std::span<const std::byte> data = bytes.subspan(sizeof(length) + length);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + sizeof(length), length);
  const FlatJson header(text, file.path().native());
  const auto is_type = [](const auto& entry) { return entry.first.ends_with("/dtype"); };
  const auto count = std::ranges::count_if(header.values(), is_type);
  if (count != static_cast<std::ptrdiff_t>(tensors.size())) {
    reject(fmt::format("holds {} tensors, the model has {}", count, tensors.size()));
  }
  std::vector<std::span<const std::byte>> found;
  for (const CheckpointTensor& t : tensors) {
    if (!header.contains(t.name + "/dtype")) reject(fmt::format("tensor '{}' is missing", t.name));
    const std::int64_t rows = header.whole(t.name + "/shape/0");
    const std::int64_t cols = header.whole(t.name + "/shape/1");
    if (rows != t.rows || cols != t.cols || header.text(t.name + "/dtype") != "F32") {
      reject(fmt::format("tensor '{}' is {} [{},{}], the model has F32 [{},{}]", t.name,
                         header.text(t.name + "/dtype"), rows, cols, t.rows, t.cols));
    }
    const auto begin = static_cast<std::uint64_t>(header.whole(t.name + "/data_offsets/0"));
    const auto end = static_cast<std::uint64_t>(header.whole(t.name + "/data_offsets/1"));
    if (begin > end || end > data.size() || end - begin != t.values.size_bytes()) {
      reject(fmt::format("tensor '{}' claims bytes {} to {} of {}", t.name, begin, end, data.size()));
    }
    found.push_back(data.subspan(begin, end - begin));
  }
  return found;
}

}  // namespace

void CheckpointFolder::create() const {
  fs_.create_directories(folder_);
  fs_.sync_directory(folder_.parent_path());
}

void CheckpointFolder::save(const CheckpointState& state, std::span<const CheckpointTensor> tensors) const {
  try {
    Hasher hasher;
    std::uint64_t bytes = 0;
    write_atomically(fs_, folder_ / tensor_file(state.step), [&](WritableFile& file) {
      const auto put = [&](std::span<const std::byte> piece) {
        file.append(piece);
        hasher.update(piece);
        bytes += piece.size();
      };
      const std::string header = safetensors_header(state.step, tensors);
      put(std::as_bytes(std::span(header)));
      for (const CheckpointTensor& t : tensors) put(std::as_bytes(t.values));
    });
    write_atomically(fs_, folder_ / manifest_file(state.step), manifest_text(state, bytes, hasher.hex()));
  } catch (...) {
    try {
      discard(state.step);
    } catch (const IoError&) {  // the first error is the one to report
    }
    throw;
  }
  tidy();
}

// The manifest goes first, for good, so that a power cut never leaves one that lists a file which is gone.
void CheckpointFolder::discard(Index step) const {
  fs_.remove(folder_ / manifest_file(step));
  fs_.sync_directory(folder_);
  fs_.remove(folder_ / tensor_file(step));
}

// Removes all but the newest checkpoints, and what interrupted writes left behind.
void CheckpointFolder::tidy() const {
  std::vector<Index> steps = listed_steps(folder_);
  for (std::size_t i = kKept; i < steps.size(); ++i) discard(steps[i]);
  steps.resize(std::min(steps.size(), kKept));
  for (const std::string& name : list_directory(folder_)) {
    if (!name.starts_with(kPrefix)) continue;
    const bool kept = std::any_of(steps.begin(), steps.end(), [&](Index step) {
      return name == manifest_file(step) || name == tensor_file(step);
    });
    if (!kept) fs_.remove(folder_ / name);
  }
}

std::optional<CheckpointState> CheckpointFolder::newest() const {
  const std::vector<Index> steps = listed_steps(folder_);
  if (steps.empty()) return std::nullopt;
  try {
    return verified(folder_, steps.front());
  } catch (const InputError& error) {
    for (const Index step : std::span(steps).subspan(1)) {
      try {
        verified(folder_, step);
      } catch (const InputError&) {
        continue;
      }
      throw InputError(
          fmt::format("{}; the last good checkpoint is step {}: remove '{}' to continue from there",
                      error.what(), step, (folder_ / manifest_file(steps.front())).native()));
    }
    throw InputError(fmt::format("{}; there is no other checkpoint", error.what()));
  }
}

void CheckpointFolder::load(Index step, std::span<const CheckpointTensor> tensors) const {
  const MappedFile file(folder_ / tensor_file(step));
  const auto found = locate(file, tensors);
  file.check_size();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!found[i].empty()) std::memcpy(tensors[i].values.data(), found[i].data(), found[i].size());
  }
}

}  // namespace loglog::model
