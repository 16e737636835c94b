// Procedural sources whose entropy is known.
//
// A world is a stationary process X_1, X_2, ... over a small vocabulary: a window is cut out of it at a
// random place, as a training window is. All entropies are in nats.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.hpp"
#include "data/token_file.hpp"

namespace loglog::data {

class World {
 public:
  virtual ~World() = default;

  virtual std::uint64_t vocab_size() const = 0;

  // lim H(X_1..X_T) / T, exact up to rounding.
  virtual double entropy_rate() const = 0;

  // H(X_1..X_T) where there is a closed form; otherwise the caller averages -log_probs over samples.
  virtual std::optional<double> block_entropy(std::uint64_t tokens) const = 0;

  // out[t] = ln p(x_t | x_0..x_{t-1}) for a window of the stationary process: what the best possible model
  // that sees only this window would assign. -infinity for impossible tokens. Equal sizes.
  virtual void log_probs(std::span<const Token> window, std::span<double> out) const = 0;

  // Whether the two above are known; where not, only the rate is, and they must not be called.
  virtual bool knows_windows() const { return true; }

  // What the header of a token file says of its tokens: "tokenizer", and line_end and document_end where there are some.
  virtual nlohmann::json header() const { return {{"tokenizer", {{"kind", "world"}}}}; }

  // Emits about `count` tokens (the last unit is completed), the same for equal `rng`.
  virtual void generate(const Rng& rng, std::uint64_t count,
                        const std::function<void(Token)>& emit) const = 0;

  // What a model of the text that generate() of the same arguments emits can be asked: a JSON object per fact, task or problem
  // (docs/formats.md, "Truth"). Nothing is told where a world has no such thing.
  virtual bool has_truth() const { return false; }
  virtual void tell_truth(const Rng&, std::uint64_t,
                          const std::function<void(const nlohmann::json&)>&) const {}
};

struct WorldParameter {
  std::string_view name;
  double value;  // default
  double low;
  double high;
  bool whole;  // integers only
  std::string_view help;
};

// One entry per kind of world: adding a world is a file and a line in world.cpp.
struct WorldKind {
  std::string_view name;
  std::string_view help;
  std::vector<WorldParameter> parameters;
  std::unique_ptr<World> (*make)(const nlohmann::json& parameters, std::uint64_t seed);
};
const std::vector<WorldKind>& world_kinds();

// Defaults overridden by "name=value" settings, checked. UsageError for unknown worlds, names and values.
const WorldKind& find_world(std::string_view name);
nlohmann::json resolve_parameters(const WorldKind& kind, std::span<const std::string> settings);

// Small tools that worlds share.
double entropy(std::span<const double> probabilities);  // -sum p ln p
std::vector<double> zipf(std::uint64_t count,
                         double exponent);  // p_k proportional to k^-exponent, k = 1..count
std::vector<double> dirichlet(const Rng& rng, std::uint64_t first_index, std::uint64_t count,
                              double concentration);
std::size_t draw(std::span<const double> cumulative, double uniform);  // first i with cumulative[i] > uniform
std::vector<double> cumulate(std::span<const double> probabilities);

}  // namespace loglog::data
