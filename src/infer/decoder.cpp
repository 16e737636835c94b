#include "infer/decoder.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "base/error.hpp"

namespace loglog::infer {

model::BatchShape decoding_shape(const model::ModelConfig& config, Index slots) {
  // Enough rows that a product with a weight costs more than reading the weight: prompts are read at the speed of training.
  constexpr Index kRows = 256;
  return {kernels::ceil_div(std::max(kRows, slots), config.context), config.context};
}

Index shortest_prompt(const model::ModelConfig& config) {
  if (config.mask == "full")
    throw UsageError("model.mask = full: this model sees the tokens that it would have to predict");
  return config.mask == "prefix" ? config.mask_span + 1 : 1;
}

Decoder::Decoder(Gpt& gpt, Index slots, std::optional<KeyValueType> cache)
    : gpt_(gpt),
      cache_(gpt, slots, gpt.config().context, cache),
      logits_(static_cast<std::size_t>(slots * gpt.config().vocab)) {
  LOGLOG_CHECK(gpt.shape().rows() >= decoding_shape(gpt.config(), slots).rows(),
               "a model of {} tokens per pass for {} sequences of {}", gpt.shape().rows(), slots,
               gpt.config().context);
}

std::size_t Decoder::bytes(const model::ModelConfig& config, KeyValueType cache, Index slots) {
  return KvCache::bytes(config, cache, slots, config.context) +
         static_cast<std::size_t>(slots * config.vocab) * sizeof(float);
}

// A sequence is never cut within a piece: a prefix that sees itself fully must be read at once.
template <class Run>
void Decoder::in_passes(std::span<const Piece> pieces, Index left_out, Head head, Run&& run) {
  std::size_t first = 0;
  const auto flush = [&](std::size_t end) {
    if (end > first) run(first, end - first);
    first = end;
    tokens_.clear(), positions_.clear(), sequences_.clear(), rows_.clear(), targets_.clear();
  };
  flush(0);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const Index count = static_cast<Index>(pieces[i].tokens.size()) - left_out;
    LOGLOG_CHECK(count > 0, "a piece of {} tokens", pieces[i].tokens.size());
    if (static_cast<Index>(tokens_.size()) + count > gpt_.shape().rows()) flush(i);
    append(pieces[i], count, head);
  }
  flush(pieces.size());
}

void Decoder::append(const Piece& piece, Index count, Head head) {
  const Index before = cache_.length(piece.slot), row = static_cast<Index>(tokens_.size());
  sequences_.push_back(cache_.append(piece.slot, row, count));
  tokens_.insert(tokens_.end(), piece.tokens.begin(), piece.tokens.begin() + count);
  for (Index i = 0; i < count; ++i) positions_.push_back(static_cast<std::int32_t>(before + i));
  if (head == Head::last) rows_.push_back(row + count - 1);
  if (head != Head::all) return;
  for (Index i = 0; i < count; ++i) rows_.push_back(row + i);
  targets_.insert(targets_.end(), piece.tokens.begin() + 1, piece.tokens.end());
}

nn::ConstMatrixView Decoder::next(nn::ExecContext& ctx, std::span<const Piece> pieces) {
  const Index vocab = config().vocab, count = static_cast<Index>(pieces.size());
  LOGLOG_CHECK(count <= slots(), "{} pieces of {} sequences", count, slots());
  in_passes(pieces, 0, Head::last, [&](std::size_t first, std::size_t n) {
    const tensor::MatrixView logits(logits_.data() + static_cast<Index>(first) * vocab, static_cast<Index>(n),
                                    vocab);
    gpt_.forward(ctx, {tokens_, positions_, sequences_, rows_, {}, {}, logits});
  });
  return {logits_.data(), count, vocab};
}

std::vector<std::vector<float>> Decoder::losses(nn::ExecContext& ctx, std::span<const Piece> pieces) {
  std::vector<std::vector<float>> result;
  std::vector<float> all;
  in_passes(pieces, 1, Head::all, [&](std::size_t first, std::size_t n) {
    all.resize(rows_.size());
    gpt_.forward(ctx, {tokens_, positions_, sequences_, rows_, targets_, all});
    auto next = all.begin();
    for (const Piece& piece : pieces.subspan(first, n)) {
      const auto end = next + static_cast<std::ptrdiff_t>(piece.tokens.size()) - 1;
      result.emplace_back(next, end);
      next = end;
    }
  });
  return result;
}

void Decoder::read(nn::ExecContext& ctx, std::span<const Piece> pieces) {
  in_passes(pieces, 0, Head::none, [&](std::size_t, std::size_t) {
    gpt_.forward(ctx, {tokens_, positions_, sequences_, rows_});
  });
}

}  // namespace loglog::infer
