// Reads sequences token by token: each pass takes a few new tokens of many sequences, whose earlier ones are in a cache.
//
// The numbers of a sequence depend neither on how it is cut into passes nor on what else is in them: a text read whole, token by
// token, alone or beside others gives the same bits, for each type of the cache those of that type. Of a whole text, too,
// every token sees what the cache has of it. With the type of the model's products they are also the bits of the whole
// sequence in one pass without a cache (Gpt::forward, training); others differ from it by what they round.
#pragma once
#include <span>
#include <vector>

#include "infer/kv_cache.hpp"

namespace loglog::infer {

// Tokens that follow those of a slot. Never empty.
struct Piece {
  Index slot;
  std::span<const Token> tokens;
};

// How a decoder's model is shaped: whole sequences fit into a pass, and one token of every slot does.
model::BatchShape decoding_shape(const model::ModelConfig& config, Index slots);

// The fewest tokens that a sequence must begin with in one piece, so that what comes later changes nothing before it: one more
// than a prefix that sees itself fully. UsageError for a model that sees what it should predict.
Index shortest_prompt(const model::ModelConfig& config);

class Decoder {
 public:
  // `gpt` is made for inference, with the shape above or a larger one, and outlives this object. `cache` is the type of keys and
  // values in the cache; absent: that of the model's products.
  Decoder(Gpt& gpt, Index slots, std::optional<KeyValueType> cache = std::nullopt);

  // What that takes: the cache, and the logits of a token of every slot.
  static std::size_t bytes(const model::ModelConfig& config, KeyValueType cache, Index slots);
  std::size_t bytes() const { return cache_.bytes() + logits_.size() * sizeof(float); }

  const model::ModelConfig& config() const { return gpt_.config(); }
  Index slots() const { return cache_.slots(); }
  Index context() const { return cache_.capacity(); }  // the most tokens of a sequence
  Index length(Index slot) const { return cache_.length(slot); }
  void forget(Index slot, Index length = 0) { cache_.truncate(slot, length); }
  // `to` now has read the first `length` tokens of `from`, and nothing else.
  void copy(Index from, Index to, Index length) { cache_.copy(from, to, length); }

  // Reads the pieces, one of each slot at most, and says of each what may follow: logits (pieces, V), until the next call.
  nn::ConstMatrixView next(nn::ExecContext& ctx, std::span<const Piece> pieces);

  // Reads all but the last token of each piece, and gives the losses (nats) of all but its first.
  std::vector<std::vector<float>> losses(nn::ExecContext& ctx, std::span<const Piece> pieces);

  // Reads the pieces.
  void read(nn::ExecContext& ctx, std::span<const Piece> pieces);

 private:
  enum class Head { none, last, all };
  // Cuts the pieces into passes; run(first piece, count) is called for each when its tokens stand in the lists below.
  template <class Run>
  void in_passes(std::span<const Piece> pieces, Index left_out, Head head, Run&& run);
  void append(const Piece& piece, Index count, Head head);

  Gpt& gpt_;
  KvCache cache_;
  std::vector<float> logits_;  // (slots, V)
  // Of the pass at hand.
  std::vector<Token> tokens_;
  std::vector<std::int32_t> positions_;
  std::vector<kernels::AttentionSequence> sequences_;
  std::vector<Index> rows_;     // that the head looks at
  std::vector<Token> targets_;  // of these
};

}  // namespace loglog::infer
