// Checkpoints that survive crashes and power cuts: everything a run needs to go on as if it had never stopped.
//
// A checkpoint is two files in a folder, `step-S.safetensors` (parameters and optimiser state) and
// `step-S.json` (the manifest: sizes and checksums, position, resolved configuration). Each is written beside
// its name, flushed, renamed, and the folder flushed; the manifest comes last, so a checkpoint without one
// does not exist. The two newest are kept. The format is drawn in docs/formats.md.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "model/config.hpp"

namespace loglog::model {

inline constexpr int kCheckpointVersion = 1;

struct CheckpointTensor {
  std::string name;  // unique in the checkpoint
  Index rows;
  Index cols;
  std::span<float> values;  // (rows, cols); read by save, written by load
};

// Everything that is not a tensor. Random numbers are counter-based, so seed and `windows` are the generator's state.
struct CheckpointState {
  Index step = 0;                  // optimiser steps that are done
  Index windows = 0;               // training windows that were drawn: the position in the data
  double seconds = 0;              // wall time used so far
  double train_seconds = 0;        // of these, spent in steps
  double train_loss = 0;           // of the last step
  std::uint64_t record_bytes = 0;  // length of the run record when this was written
  std::string identity;            // of the run, see model::identity
  std::string isa;
  RunConfig config;  // resolved
};

class CheckpointFolder {
 public:
  CheckpointFolder(FileSystem& fs, Path folder) : fs_(fs), folder_(std::move(folder)) {}

  // Makes the folder, for good. Needed once before the first save().
  void create() const;

  // IoError with the path when the disk fails; what was there before is then still there, and nothing else.
  // Never makes the folder: one that was moved away belongs to somebody else now.
  void save(const CheckpointState& state, std::span<const CheckpointTensor> tensors) const;

  // The newest checkpoint, its files' sizes and checksums verified; nothing when there is none. InputError
  // when the newest is damaged (says how, and which step is the last good one) or was written by a newer program.
  std::optional<CheckpointState> newest() const;

  // Fills `tensors` from the checkpoint of this step. InputError unless it holds exactly these names and shapes.
  void load(Index step, std::span<const CheckpointTensor> tensors) const;

 private:
  void discard(Index step) const;
  void tidy() const;
  FileSystem& fs_;
  Path folder_;
};

}  // namespace loglog::model
