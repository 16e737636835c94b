// A small model as it is used, with the values of one that trains, and texts for it.
#pragma once
#include <algorithm>

#include "infer/decoder.hpp"
#include "infer/generate.hpp"
#include "support/small_models.hpp"

namespace loglog::testing {

// `slots` sequences of a model that has the values of `trained`.
struct SmallDecoder {
  model::Gpt gpt;
  kernels::Scratch scratch;
  kernels::ExecContext ctx;
  infer::Decoder decoder;

  SmallDecoder(const SmallModel& trained, Index slots, kernels::FloatType type = kernels::FloatType::float32,
               int threads = 1, std::optional<kernels::KeyValueType> cache = std::nullopt)
      : gpt(trained.config, infer::decoding_shape(trained.config, slots), type, model::Purpose::inference),
        scratch(gpt.scratch_bytes(trained.ctx.kernels, threads)),
        ctx{trained.ctx.kernels, threads, scratch},
        decoder(gpt, slots, cache) {
    std::ranges::copy(trained.gpt.values(), gpt.values().begin());
    gpt.values_changed();
  }
};

// All new tokens, sample by sample.
inline std::vector<std::vector<infer::Token>> samples_of(SmallDecoder& small,
                                                         std::span<const infer::Prompt> prompts,
                                                         const infer::GenerateOptions& options) {
  std::vector<std::vector<infer::Token>> samples;
  for (const infer::Prompt& prompt : prompts) samples.resize(samples.size() + prompt.samples);
  infer::generate(small.ctx, small.decoder, prompts, options, [&](std::uint64_t sample, infer::Token token) {
    samples.at(sample).push_back(token);
    return true;
  });
  return samples;
}

// Text b of `trained`'s batch with the token behind it: T + 1 tokens, of which the first T are read.
inline std::vector<std::int32_t> whole_text(const SmallModel& trained, Index b) {
  const Index time = trained.gpt.shape().time;
  std::vector<std::int32_t> text(trained.tokens.begin() + b * time, trained.tokens.begin() + (b + 1) * time);
  text.push_back(trained.targets[static_cast<std::size_t>((b + 1) * time - 1)]);
  return text;
}

// Targets that are the next tokens, as in training.
inline void make_next_tokens_targets(SmallModel& trained) {
  const auto time = static_cast<std::size_t>(trained.gpt.shape().time);
  for (std::size_t i = 0; i + 1 < trained.tokens.size(); ++i)
    if ((i + 1) % time != 0) trained.targets[i] = trained.tokens[i + 1];
}

}  // namespace loglog::testing
