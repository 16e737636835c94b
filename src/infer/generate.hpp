// Continues texts, many at a time.
#pragma once
#include <functional>
#include <span>

#include "infer/decoder.hpp"
#include "infer/sampler.hpp"

namespace loglog::infer {

// What happens when a sequence has filled the model's context.
enum class Overflow {
  refuse,  // it is not begun
  slide    // the second half of the context is read anew as a beginning, and the first is forgotten
};

// Tokens to go on from, and how many samples do.
struct Prompt {
  std::span<const Token> tokens;
  std::uint64_t samples = 1;
};

struct GenerateOptions {
  Index max_tokens = 0;  // of each sample
  Sampling sampling;
  std::uint64_t first_sample = 0;  // number of the first prompt's sample
  Overflow overflow = Overflow::refuse;
  std::function<bool()> stop_requested = {};  // asked before every pass; then all end as they are
};

// Tokens that a context has room for behind a prompt: the last one need not be read.
inline Index room_behind(Index prompt, Index context) {
  return context - prompt + 1;
}

// UsageError unless this prompt can be continued by `max_tokens`: it is empty, shorter than the model's shortest or longer than
// its context, has a token that the model does not know, or there is no room and overflow is refused.
void require_room(const model::ModelConfig& config, std::span<const Token> prompt,
                  const GenerateOptions& options);

// Told every token as it comes; false ends that sample. Samples count from 0 through all prompts, and begin in this order.
using OnToken = std::function<bool(std::uint64_t sample, Token token)>;

// Goes on from each prompt; false when it was asked to stop. Each sample draws from the random sequence of its number, so its
// tokens depend on its prompt, that number and the seed: neither on the other prompts nor on the decoder's slots. Samples of one
// prompt that are at the decoder together have it read once. Memory grows with the slots, not with the samples.
bool generate(nn::ExecContext& ctx, Decoder& decoder, std::span<const Prompt> prompts,
              const GenerateOptions& options, const OnToken& on_token);

}  // namespace loglog::infer
