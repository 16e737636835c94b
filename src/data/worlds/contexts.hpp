// contexts: Zipf-weighted facts. The world whose loss falls as a power of model size and data.
//
// The text is an endless row of independent facts. Fact k of K is a_k b_k y_k1 .. y_km: a name of two tokens
// (the digits of k) and m values, fixed once at random among V. It occurs with p_k proportional to
// k^-(1 + alpha). Names are as unpredictable as their frequencies and stay so; the values of a fact are free
// of entropy for whoever remembers it and cost ln V each for whoever does not. A model with room or exposure
// for the n most frequent facts lacks sum_{k>n} p_k ~ n^-alpha of them, so, with n growing as a power of N or D,
//   L - E ~ N^-alpha,   L - E ~ D^-(alpha / (1 + alpha))
// (the quantization model: Michaud, Liu, Girit, Tegmark 2023, sections 2 and 3), down to the facts' number K.
//
// Entropies: units.hpp, P = m + 2. A window of P tokens shows an `a` and so its phase.
#pragma once
#include "data/worlds/units.hpp"

namespace loglog::data {

WorldKind contexts_kind();

struct ContextsParameters {
  std::uint64_t facts = 0;   // K
  std::uint64_t values = 0;  // V
  std::uint64_t length = 0;  // m
  double alpha = 0;
};

class ContextsWorld final : public UnitWorld {
 public:
  ContextsWorld(const ContextsParameters& parameters, std::uint64_t seed);
};

}  // namespace loglog::data
