#include "model/checkpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/flat_json.hpp"
#include "base/hash.hpp"
#include "io/safetensors.hpp"
#include "model/batch_size.hpp"
#include "model/config_value.hpp"

namespace loglog::model {
namespace {

constexpr std::size_t kNewest = 2;  // the newest, and one more should its disk go bad
constexpr std::string_view kFormat = "loglog checkpoint";
constexpr std::string_view kPrefix = "step-";

std::string stem(Index step) {
  return fmt::format("{}{:012}", kPrefix, step);
}

std::string tensor_file(Index step) {
  return stem(step) + ".safetensors";
}

// Steps that have a manifest, newest first.
std::vector<Index> listed_steps(const Path& folder) {
  std::vector<Index> steps;
  for (const std::string& name : list_directory(folder)) {
    if (!name.starts_with(kPrefix) || !name.ends_with(".json")) continue;
    const Index step = std::strtoll(name.c_str() + kPrefix.size(), nullptr, 10);
    if (name == manifest_name(step)) steps.push_back(step);
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

std::vector<std::uint64_t> shape_of(const CheckpointTensor& t) {
  return {static_cast<std::uint64_t>(t.rows), static_cast<std::uint64_t>(t.cols)};
}

std::string manifest_text(const CheckpointState& state, std::uint64_t bytes, const std::string& checksum) {
  nlohmann::ordered_json m;
  m["format"] = kFormat;
  m["version"] = kCheckpointVersion;
  m["step"] = state.step;
  m["windows"] = state.windows;
  m["tokens"] = state.tokens;
  m["parent_tokens"] = state.parent_tokens;
  m["source_windows"] = state.source_windows;
  m["seconds"] = state.seconds;
  m["train_seconds"] = state.train_seconds;
  m["train_loss"] = state.train_loss;
  m["spikes"] = state.spikes;
  m["recent_losses"] = state.recent_losses;
  m["noise_sums"] = state.noise_sums;
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

// A number of things that were counted.
Index counted(const FlatJson& m, const std::string& field, const Path& path) {
  constexpr Index kMost = 1'000'000'000'000'000'000;  // so that sums of them are counts too
  const Index value = m.whole(field);
  if (value >= 0 && value <= kMost) return value;
  throw InputError(
      fmt::format("'{}' is damaged: {} is {}, expected 0 to {}", path.native(), field, value, kMost));
}

// What later versions added is absent in manifests of before.
Index counted_or(const FlatJson& m, const std::string& field, const Path& path, Index absent) {
  return m.contains(field) ? counted(m, field, path) : absent;
}

// The elements of a list.
template <class Add>
void for_list(const FlatJson& m, std::string_view name, Add&& add) {
  for (std::size_t i = 0;; ++i) {
    const std::string field = fmt::format("{}/{}", name, i);
    if (!m.contains(field)) return;
    add(field, i);
  }
}

void require_manifest(const FlatJson& m, const Path& path) {
  if (!m.contains("format") || m.text("format") != kFormat) {
    throw InputError(fmt::format("'{}' is no checkpoint manifest", path.native()));
  }
  if (m.whole("version") > kCheckpointVersion) {
    throw InputError(
        fmt::format("'{}' has version {}, this program reads versions up to {}: use a newer loglog",
                    path.native(), m.whole("version"), kCheckpointVersion));
  }
}

// That its windows can be counted, which resolving it saw to.
void require_countable(const RunConfig& config, const Path& path) {
  const OptimConfig& t = config.train;
  const double tokens =
      static_cast<double>(t.steps) * static_cast<double>(t.batch) * static_cast<double>(config.model.context);
  const bool has_ramp = t.first_batch > 0;
  const bool rises = t.micro_batch > 0 && (t.batch - t.first_batch) / t.micro_batch <= kMostRises;
  if (tokens <= kMostTokens && (!has_ramp || rises)) return;
  throw InputError(
      fmt::format("'{}' is damaged: no run has the steps and batches of its configuration", path.native()));
}

CheckpointState parse_manifest(const FlatJson& m, Index step, const Path& path) {
  require_manifest(m, path);
  CheckpointState state;
  state.step = counted(m, "step", path);
  state.windows = counted(m, "windows", path);
  state.seconds = m.real("seconds");
  state.train_seconds = m.real("train_seconds");
  state.train_loss = m.real("train_loss");
  state.record_bytes = static_cast<std::uint64_t>(counted(m, "record_bytes", path));
  state.identity = m.text("identity");
  state.isa = m.text("isa");
  state.config = from_flat_json(m, "config/", path.native());
  require_countable(state.config, path);
  if (state.step != step) reject_field(path, "step", state.step, step);
  if (step > state.config.train.steps)
    reject_field(path, "config/train/steps", state.config.train.steps, step);
  // Where nothing was skipped and nothing came before, they follow from the step.
  const Index windows = windows_before(state.config.train, state.step), context = state.config.model.context;
  const bool is_plain = state.config.train.spike == 0 && state.config.fork.parent.empty();
  if (is_plain && state.windows != windows) reject_field(path, "windows", state.windows, windows);
  state.tokens = counted_or(m, "tokens", path, windows * context);
  if (is_plain && state.tokens != windows * context)
    reject_field(path, "tokens", state.tokens, windows * context);
  state.parent_tokens = counted_or(m, "parent_tokens", path, 0);
  for_list(m, "source_windows", [&](const std::string& field, std::size_t) {
    state.source_windows.push_back(static_cast<std::uint64_t>(counted(m, field, path)));
  });
  state.spikes = counted_or(m, "spikes", path, 0);
  for_list(m, "recent_losses",
           [&](const std::string& field, std::size_t) { state.recent_losses.push_back(m.real(field)); });
  for_list(m, "noise_sums", [&](const std::string& field, std::size_t i) {
    if (i < state.noise_sums.size()) state.noise_sums[i] = m.real(field);
  });
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
  const Path path = folder / manifest_name(step);
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

// The entry of each tensor, after checking that exactly the wanted ones are there.
std::vector<const io::TensorEntry*> locate(const io::SafetensorsFile& file,
                                           std::span<const CheckpointTensor> tensors) {
  std::vector<io::TensorShape> wanted;
  for (const CheckpointTensor& t : tensors) wanted.push_back({t.name, shape_of(t)});
  std::vector<const io::TensorEntry*> found = io::find_tensors(file, wanted, io::Others::refused);
  for (const io::TensorEntry* entry : found) {
    if (entry->dtype == io::Dtype::f32) continue;
    throw InputError(fmt::format("'{}': tensor '{}' is of type {}, a checkpoint has F32",
                                 file.path().native(), entry->name, entry->dtype_name));
  }
  return found;
}

}  // namespace

std::string manifest_name(Index step) {
  return stem(step) + ".json";
}

Index step_of_manifest(const Path& manifest) {
  const std::string name = manifest.filename().native();
  const Index step =
      name.starts_with(kPrefix) ? std::strtoll(name.c_str() + kPrefix.size(), nullptr, 10) : -1;
  if (step >= 0 && name == manifest_name(step)) return step;
  throw UsageError(
      fmt::format("'{}' is no checkpoint: its manifest is called {}", manifest.native(), manifest_name(200)));
}

void CheckpointFolder::create() const {
  fs_.create_directories(folder_);
  fs_.sync_directory(folder_.parent_path());
}

void CheckpointFolder::save(const CheckpointState& state, std::span<const CheckpointTensor> tensors,
                            const KeptSteps& kept) const {
  try {
    Hasher hasher;
    std::uint64_t bytes = 0;
    write_atomically(fs_, folder_ / tensor_file(state.step), [&](WritableFile& file) {
      const auto put = [&](std::span<const std::byte> piece) {
        file.append(piece);
        hasher.update(piece);
        bytes += piece.size();
      };
      std::vector<io::TensorValues> values;
      for (const CheckpointTensor& t : tensors) values.push_back({t.name, shape_of(t), t.values});
      const io::Metadata metadata = {{"format", std::string(kFormat)}, {"step", std::to_string(state.step)}};
      io::write_safetensors(put, values, metadata);
    });
    write_atomically(fs_, folder_ / manifest_name(state.step), manifest_text(state, bytes, hasher.hex()));
  } catch (...) {
    try {
      discard(state.step);
    } catch (const IoError&) {  // the first error is the one to report
    }
    throw;
  }
  tidy(kept);
}

// The manifest goes first, for good, so that a power cut never leaves one that lists a file which is gone.
void CheckpointFolder::discard(Index step) const {
  fs_.remove(folder_ / manifest_name(step));
  fs_.sync_directory(folder_);
  fs_.remove(folder_ / tensor_file(step));
}

// Removes all but the newest checkpoints and those that are kept, and what interrupted writes left behind.
void CheckpointFolder::tidy(const KeptSteps& kept) const {
  const std::vector<Index> listed = listed_steps(folder_);
  std::vector<Index> staying;
  for (std::size_t i = 0; i < listed.size(); ++i) {  // the newest first
    if (i < kNewest || kept.holds(listed[i]))
      staying.push_back(listed[i]);
    else
      discard(listed[i]);
  }
  for (const std::string& name : list_directory(folder_)) {
    if (!name.starts_with(kPrefix)) continue;
    const bool stays = std::any_of(staying.begin(), staying.end(), [&](Index step) {
      return name == manifest_name(step) || name == tensor_file(step);
    });
    if (!stays) fs_.remove(folder_ / name);
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
                      error.what(), step, (folder_ / manifest_name(steps.front())).native()));
    }
    throw InputError(fmt::format("{}; there is no other checkpoint", error.what()));
  }
}

CheckpointState CheckpointFolder::at(Index step) const {
  const Path manifest = folder_ / manifest_name(step);
  if (!path_exists(manifest)) throw InputError(fmt::format("'{}' does not exist", manifest.native()));
  return verified(folder_, step);
}

std::optional<Index> CheckpointFolder::last_until(Index step) const {
  for (const Index listed : listed_steps(folder_))
    if (listed <= step) return listed;
  return std::nullopt;
}

std::vector<Index> CheckpointFolder::steps() const {
  std::vector<Index> all = listed_steps(folder_);
  std::ranges::reverse(all);
  return all;
}

void CheckpointFolder::drop_after(Index step) const {
  for (const Index listed : listed_steps(folder_))
    if (listed > step) discard(listed);
}

void CheckpointFolder::load(Index step, std::span<const CheckpointTensor> tensors) const {
  const io::SafetensorsFile file(tensor_path(step));
  const auto found = locate(file, tensors);
  for (std::size_t i = 0; i < tensors.size(); ++i) file.read(*found[i], tensors[i].values);
}

Path CheckpointFolder::tensor_path(Index step) const {
  return folder_ / tensor_file(step);
}

}  // namespace loglog::model
