// Runs that begin with the checkpoint of another: where they come from, and what they may change.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/token_file.hpp"
#include "model/checkpoint.hpp"
#include "model/open_model.hpp"

namespace loglog::train {

// Where a run forks from. The configuration says so too (fork.*; see fork_config).
struct ForkOrigin {
  model::OpenedModel model;  // its configuration and parameters
  std::string identity;      // of the run; of a model folder a hash of its parameters
  std::optional<model::CheckpointState> state =
      {};                 // of a run; a model folder has none, and can only be begun anew from
  Path checkpoints = {};  // the folder that it lies in
};

// PATH is a run folder, whose newest checkpoint is meant, one checkpoint's manifest (DIR/checkpoints/step-S.json), or a model
// folder (`loglog import`). InputError when there is none.
ForkOrigin find_fork_origin(FileSystem& fs, const Path& path);

// The configuration of a fork: the parent's, with `restart` from its first step on. To be changed further by the user.
model::RunConfig fork_config(const ForkOrigin& origin, bool restart);

// `config` is resolved. UsageError where the parent's parameters have other shapes and, unless the fork begins anew, where it cannot
// go on as its parent would have: other data or another order of it, another optimiser, another row of instructions (`row`),
// no steps left.
void require_fork(const model::RunConfig& config, const ForkOrigin& origin, const data::TokenFile& file,
                  std::string_view row);

// Sentences on what a fork that is allowed may make wrong all the same.
std::vector<std::string> fork_notes(const model::RunConfig& config, const ForkOrigin& origin,
                                    const data::TokenFile& file);

}  // namespace loglog::train
