// A world to a token file, with what is known about its entropy in the header.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data/worlds/world.hpp"

namespace loglog::data {

struct SynthOptions {
  std::string world;
  std::vector<std::string> settings;  // "name=value"
  std::uint64_t tokens = 0;
  std::uint64_t seed = 0;
  std::vector<std::uint64_t> contexts = {16, 32, 64, 128, 256};  // for which the floors are worked out
  double validation_share = 0.1;                                 // of the default split
  std::vector<std::string> command;                              // stored in the header
  Path truth = {};  // also written, where it is not empty: World::tell_truth()
  std::function<bool()> stop_requested = [] { return false; };  // true: give up, exit code 75
};

// What the best model that sees windows of `context` tokens can reach, nats per token.
struct ContextFloor {
  std::uint64_t context;   // T
  double block;            // H(X_1..X_T) / T
  double block_error;      // its standard error; 0 where exact
  double validation_loss;  // the world's own loss on the validation targets: compare a fitted floor with this
  double validation_error;  // its standard error over windows, as a sample of the process
  std::uint64_t windows;    // validation windows that were averaged
};

struct EntropyFacts {
  double rate;  // entropy rate, nats per token, exact
  // Empty where a world does not know its windows.
  std::vector<ContextFloor> floors;
};

// Header field "entropy": {unit, rate, floors: [{context, block, block_error, validation_loss, ...}]}.
nlohmann::json as_json(const EntropyFacts& facts);

// UsageError also for a truth that the world does not have. Writes the text twice: to `OUT.draft`, to learn its split, then with the facts in its header. On any error `out`
// is as it was and nothing is left beside it.
TokenFile synthesize(FileSystem& fs, const SynthOptions& options, const Path& out);

}  // namespace loglog::data
