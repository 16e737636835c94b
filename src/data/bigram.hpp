// How well pairs of neighbouring tokens alone predict the next one: what a language model has to beat.
#pragma once
#include <optional>

#include "data/batcher.hpp"

namespace loglog::data {

// Conditional entropy H(next | current) of the pairs (input, target) in `sample`, nats per token:
//   - sum_{a,b} n(a,b)/n ln( n(a,b) / n(a) )
// It is computed from the counts of the sample itself, and so a little too low: by about (distinct pairs) / 2n.
// Nothing where the vocabulary has more pairs than the sample: the estimate would say nothing.
std::optional<double> bigram_entropy(const FixedSample& sample, std::uint64_t vocab_size);

}  // namespace loglog::data
