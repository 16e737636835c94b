// What a model remembers of the sequences that it goes on with: keys and values of every token so far, layer by layer.
#pragma once
#include <optional>
#include <vector>

#include "model/gpt.hpp"

namespace loglog::infer {

using model::Gpt;
using model::Index;
using model::KeyValueType;
using model::Token;

// In float32, bfloat16 or int8 (kernels/key_values.hpp), whatever the model multiplies. A token is rounded once, when it is read, and is
// from then on to every token, itself included, what the cache has of it.
class KvCache {
 public:
  // Room for `slots` sequences of at most `capacity` tokens each. The layers of `gpt`, which outlives this object, use it until
  // another cache of the same model is made. Without a type: that of the model's products.
  KvCache(Gpt& gpt, Index slots, Index capacity, std::optional<KeyValueType> type = std::nullopt);

  // What that takes.
  static std::size_t bytes(const model::ModelConfig& config, KeyValueType type, Index slots, Index capacity);
  std::size_t bytes() const { return arena_.bytes(); }

  Index slots() const { return static_cast<Index>(lengths_.size()); }
  Index capacity() const { return capacity_; }
  Index length(Index slot) const { return lengths_[static_cast<std::size_t>(slot)]; }

  // `count` new tokens of a slot, in the rows of a pass from `row` on; they are remembered once the pass has run.
  // ContractError when there is no room for them.
  kernels::AttentionSequence append(Index slot, Index row, Index count);
  // Forgets all but the first `length` tokens.
  void truncate(Index slot, Index length);
  // `to` now has the first `length` tokens of `from`, as if it had read them itself.
  void copy(Index from, Index to, Index length);

 private:
  // Rows of one layer's memory.
  struct Rows {
    std::byte* data;
    std::size_t bytes;  // of a row
  };
  Index capacity_;
  std::vector<Index> lengths_;  // tokens of each slot
  tensor::Arena arena_;
  std::vector<Rows> memory_;
};

}  // namespace loglog::infer
