#include "train/fork.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"

namespace loglog::train {
namespace {

using model::CheckpointFolder;
using model::CheckpointState;
using model::Index;
using model::RunConfig;

ForkOrigin origin_of(const CheckpointFolder& folder, const Path& checkpoints, CheckpointState state) {
  model::OpenedModel model = model::open_checkpoint(folder, state);
  const Path codec = checkpoints.parent_path() / model::kCodecFile;
  if (path_exists(codec)) model.tokenizer = read_input(codec);
  std::string identity = state.identity;
  return {std::move(model), std::move(identity), std::move(state), checkpoints};
}

bool is_same_data(const CheckpointState& parent, const data::TokenFile& file) {
  return model::identity(parent.config, file.checksum_text()) == parent.identity;
}

void require_same_shapes(const RunConfig& config, const RunConfig& parent) {
  const auto mine = model::parameter_shapes(config.model), theirs = model::parameter_shapes(parent.model);
  const auto is_same = [](const model::ParameterShape& a, const model::ParameterShape& b) {
    return a.name == b.name && a.rows == b.rows && a.cols == b.cols;
  };
  if (std::ranges::equal(mine, theirs, is_same)) return;
  const std::string difference = model::first_difference(
      config, parent, [](const model::ConfigKey& key) { return key.name.starts_with("model."); });
  throw UsageError(fmt::format(
      "the parent's parameters have other shapes: {}; a fork keeps the model of its parent", difference));
}

// What decides which windows come next, which of them validate, and what is remembered of the steps before.
constexpr std::string_view kKept[] = {"model.context", "data.split", "data.val_share",
                                      "data.mixture",  "train.seed", "train.optimizer"};

void require_same_course(const RunConfig& config, const RunConfig& parent) {
  const std::string difference = model::first_difference(config, parent, [](const model::ConfigKey& key) {
    return std::find(std::begin(kKept), std::end(kKept), key.name) != std::end(kKept);
  });
  if (difference.empty()) return;
  throw UsageError(fmt::format(
      "a fork goes on in its parent's data, and cannot with another {}: --restart begins anew with its "
      "parameters",
      difference));
}

}  // namespace

ForkOrigin find_fork_origin(FileSystem& fs, const Path& path) {
  if (path.extension() == ".json") {
    const Index step = model::step_of_manifest(path);
    const CheckpointFolder folder(fs, path.parent_path());
    return origin_of(folder, path.parent_path(), folder.at(step));
  }
  if (path_exists(path / model::kParameterFile)) {
    model::OpenedModel model = model::open_model(path);
    std::string identity = hash_hex_of_file(model.tensors);
    return {std::move(model), std::move(identity)};
  }
  const Path checkpoints = path / model::kCheckpointFolder;
  const CheckpointFolder folder(fs, checkpoints);
  auto newest = folder.newest();
  if (!newest) {
    throw InputError(fmt::format("'{}' holds neither a run with a checkpoint ('{}') nor a model ('{}')",
                                 path.native(), model::kCheckpointFolder, model::kParameterFile));
  }
  return origin_of(folder, checkpoints, std::move(*newest));
}

RunConfig fork_config(const ForkOrigin& origin, bool restart) {
  RunConfig config = origin.model.config;
  config.fork = {origin.identity, origin.model.step, restart};
  if (restart) config.train.micro_batch = 0;  // was resolved for the parent's batch
  return config;
}

void require_fork(const RunConfig& config, const ForkOrigin& origin, const data::TokenFile& file,
                  std::string_view row) {
  const model::ForkConfig& fork = config.fork;
  LOGLOG_CHECK(fork.parent == origin.identity && fork.step == origin.model.step,
               "fork of {} at {}, given {} at {}", fork.parent, fork.step, origin.identity,
               origin.model.step);
  if (!fork.restart && !origin.state) {
    throw UsageError(
        fmt::format("'{}' has parameters alone, no run to go on with: --restart begins anew with them",
                    origin.model.tensors.native()));
  }
  require_same_shapes(config, origin.model.config);
  if (fork.restart) return;
  const CheckpointState& parent = *origin.state;
  if (!is_same_data(parent, file)) {
    throw UsageError(
        fmt::format("'{}' is not what the parent was trained on: --restart begins anew with its parameters",
                    file.path().native()));
  }
  require_same_course(config, parent.config);
  if (parent.isa != row) {
    throw UsageError(fmt::format("the parent was trained with --isa {}, not {}: go on with {}", parent.isa,
                                 row, parent.isa));
  }
  if (config.train.steps <= parent.step) {
    throw UsageError(fmt::format("the parent has {} steps behind it, train.steps is {}: it counts them too",
                                 parent.step, config.train.steps));
  }
}

std::vector<std::string> fork_notes(const RunConfig& config, const ForkOrigin& origin,
                                    const data::TokenFile& file) {
  std::vector<std::string> notes;
  const nlohmann::json tokenizer = file.meta().value("tokenizer", nlohmann::json());
  const std::string& parents = origin.model.tokenizer;
  if (!parents.empty() && !tokenizer.is_null() && nlohmann::json::parse(parents, nullptr, false) != tokenizer)
    notes.push_back(
        fmt::format("'{}' was made with another tokenizer than the parent's data", file.path().native()));
  const std::string split = model::first_difference(
      config, origin.model.config,
      [](const model::ConfigKey& key) { return key.name == "data.split" || key.name == "data.val_share"; });
  if (origin.state && !split.empty() && is_same_data(*origin.state, file)) {
    notes.push_back(fmt::format(
        "another {}: the parent was trained on text that now validates, so losses will look better than they "
        "are",
        split));
  }
  return notes;
}

}  // namespace loglog::train
