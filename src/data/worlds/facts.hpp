// facts: a base of facts told in different words: what a model can store, and whether it stores facts or sentences.
//
// A fact says which value an entity has in a relation. Of E entities and R relations each pair is one; its value, m tokens, is
// fixed once at random among V each. Facts occur with p_k proportional to k^-(1 + alpha), in an order that is drawn once. A
// sentence is
//   entity (two tokens, its digits)   words (one token, of relation r and template t of T)   value (m tokens)   "."
// A fact is told in T - h of the templates, each as often; the other h, drawn for each fact, are held out: whoever answers in
// those has learned the fact apart from its words, which other facts teach.
//
// The base holds E R m log2 V bits. Entropies: units.hpp, P = m + 4; a window of P tokens shows a "." and so its phase.
//   H(0, P) = H(p) + ln(T - h)
// Sources: exposure and held-out phrasings, Allen-Zhu & Li 2023 ("Physics of language models", parts 3.1, 3.3).
#pragma once
#include "data/worlds/units.hpp"

namespace loglog::data {

WorldKind facts_kind();

struct FactsParameters {
  std::uint64_t entities = 0;   // E
  std::uint64_t relations = 0;  // R
  std::uint64_t values = 0;     // V
  std::uint64_t length = 0;     // m
  std::uint64_t templates = 0;  // T
  std::uint64_t held_out = 0;   // h < T
  double alpha = 0;
};

class FactsWorld final : public UnitWorld {
 public:
  FactsWorld(const FactsParameters& parameters, std::uint64_t seed);

  nlohmann::json header() const override;
  bool has_truth() const override { return true; }
  // First {"bits", "facts"}: what the whole base holds. Then of each fact, the most frequent first: {"fact", "probability",
  // "exposures", "value": tokens, "prompts": [{"template", "held_out", "exposures", "tokens"}]}; the value follows each prompt.
  void tell_truth(const Rng& rng, std::uint64_t count,
                  const std::function<void(const nlohmann::json&)>& tell) const override;

 private:
  FactsParameters parameters_;
  std::uint64_t seed_;
};

}  // namespace loglog::data
