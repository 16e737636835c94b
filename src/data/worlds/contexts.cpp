#include "data/worlds/contexts.hpp"

#include <cmath>

namespace loglog::data {
namespace {

constexpr std::uint64_t kValueStream = 2;

std::unique_ptr<World> make(const nlohmann::json& p, std::uint64_t seed) {
  return std::make_unique<ContextsWorld>(
      ContextsParameters{p.at("facts").get<std::uint64_t>(), p.at("values").get<std::uint64_t>(),
                         p.at("length").get<std::uint64_t>(), p.at("alpha").get<double>()},
      seed);
}

// Names use tokens 0..digits-1 for a, digits..2 digits-1 for b.
std::uint64_t digits_of(const ContextsParameters& p) {
  return static_cast<std::uint64_t>(std::ceil(std::sqrt(static_cast<double>(p.facts))));
}

std::vector<Token> facts_of(const ContextsParameters& p, std::uint64_t seed) {
  const std::uint64_t digits = digits_of(p);
  const Rng rng(seed, kValueStream);
  std::vector<Token> tokens;  // (K, P)
  for (std::uint64_t k = 0; k < p.facts; ++k) {
    tokens.push_back(static_cast<Token>(k / digits));
    tokens.push_back(static_cast<Token>(digits + k % digits));
    for (std::uint64_t v = 0; v < p.length; ++v)
      tokens.push_back(static_cast<Token>(2 * digits + rng.below(k * p.length + v, p.values)));
  }
  return tokens;
}

}  // namespace

WorldKind contexts_kind() {
  return {"contexts",
          "facts with Zipf frequencies: loss falls as a power of size and data",
          {{"facts", 4096, 2, 65536, true, "number of facts K"},
           {"values", 16, 2, 256, true, "number of value tokens V"},
           {"length", 2, 1, 8, true, "values per fact m"},
           {"alpha", 0.5, 0, 4, false, "facts occur as k^-(1+alpha)"}},
          &make};
}

ContextsWorld::ContextsWorld(const ContextsParameters& p, std::uint64_t seed)
    : UnitWorld(2 * digits_of(p) + p.values, p.length + 2, zipf(p.facts, 1 + p.alpha), facts_of(p, seed)) {}

}  // namespace loglog::data
