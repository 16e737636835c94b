// Checkpoints that survive crashes and power cuts: everything a run needs to go on as if it had never stopped.
//
// A checkpoint is two files in a folder, `step-S.safetensors` (parameters and optimiser state) and
// `step-S.json` (the manifest: sizes and checksums, position, resolved configuration). Each is written beside
// its name, flushed, renamed, and the folder flushed; the manifest comes last, so a checkpoint without one
// does not exist. The two newest stay, and those that are kept. The format is drawn in docs/formats.md.
#pragma once
#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "model/config.hpp"

namespace loglog::model {

inline constexpr int kCheckpointVersion = 1;
inline constexpr const char* kCheckpointFolder = "checkpoints";  // in a run folder

struct CheckpointTensor {
  std::string name;  // unique in the checkpoint
  Index rows;
  Index cols;
  std::span<float> values;  // (rows, cols); read by save, written by load
};

// Everything that is not a tensor. Random numbers are counter-based, so seed and `windows` are the generator's state.
struct CheckpointState {
  Index step = 0;           // optimiser steps that are done
  Index windows = 0;        // training windows that were drawn or skipped: the position in the data
  Index tokens = 0;         // that were trained on, the parent's of a fork too
  Index parent_tokens = 0;  // of these, the parent's
  // Windows that were trained on, by source of the token file; what was undone or skipped is not among them. Empty in checkpoints
  // of before: then it is the first `windows` of the data's order.
  std::vector<std::uint64_t> source_windows;
  double seconds = 0;                     // wall time used so far
  double train_seconds = 0;               // of these, spent in steps
  double train_loss = 0;                  // of the last step
  Index spikes = 0;                       // that were undone
  std::vector<double> recent_losses;      // that a spike is judged by (train/spike.hpp)
  std::array<double, 3> noise_sums = {};  // train/noise_scale.hpp
  std::uint64_t record_bytes = 0;         // length of the run record when this was written
  std::string identity;                   // of the run, see model::identity
  std::string isa;
  RunConfig config;  // resolved
};

std::string manifest_name(Index step);  // step-000000000200.json
// The other way round; UsageError for other names.
Index step_of_manifest(const Path& manifest);

// What stays besides the newest two when another checkpoint comes.
struct KeptSteps {
  std::optional<Index> step = {};
  Index every = 0;             // and multiples of it, but 0
  std::vector<Index> at = {};  // and these
  bool holds(Index s) const {
    return s == step || (every > 0 && s > 0 && s % every == 0) || std::ranges::find(at, s) != at.end();
  }
};

class CheckpointFolder {
 public:
  CheckpointFolder(FileSystem& fs, Path folder) : fs_(fs), folder_(std::move(folder)) {}

  // Makes the folder, for good. Needed once before the first save().
  void create() const;

  // IoError with the path when the disk fails; what was there before is then still there, and nothing else.
  // Never makes the folder: one that was moved away belongs to somebody else now.
  void save(const CheckpointState& state, std::span<const CheckpointTensor> tensors,
            const KeptSteps& kept = {}) const;

  // The newest checkpoint, its files' sizes and checksums verified; nothing when there is none. InputError
  // when the newest is damaged (says how, and which step is the last good one) or was written by a newer program.
  std::optional<CheckpointState> newest() const;

  // The one of this step, verified. InputError when there is none.
  CheckpointState at(Index step) const;
  // The last step up to `step` that has one.
  std::optional<Index> last_until(Index step) const;

  // Of all, ascending.
  std::vector<Index> steps() const;

  bool empty() const { return !last_until(std::numeric_limits<Index>::max()); }

  // Removes those of later steps.
  void drop_after(Index step) const;

  // Fills `tensors` from the checkpoint of this step. InputError unless it holds exactly these names and shapes.
  void load(Index step, std::span<const CheckpointTensor> tensors) const;
  Path tensor_path(Index step) const;

 private:
  void discard(Index step) const;
  void tidy(const KeptSteps& kept) const;
  FileSystem& fs_;
  Path folder_;
};

}  // namespace loglog::model
