// Continues texts, many at a time.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "infer/decoder.hpp"
#include "infer/sampler.hpp"

namespace loglog::infer {

// What happens when a sequence has filled the model's context.
enum class Overflow {
  refuse,  // it is not begun
  slide    // the second half of the context is read anew as a beginning, and the first is forgotten
};

struct GenerateOptions {
  Index max_tokens = 0;  // of each sample
  Sampling sampling;
  std::uint64_t first_sample = 0;  // number of the first prompt's sample
  Overflow overflow = Overflow::refuse;
  // Called with every token as it comes; false ends that sample. Absent: all go on.
  std::function<bool(std::size_t sample, Token token)> on_token = {};
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

// The new tokens of each prompt; nothing when it was asked to stop. Each sample draws from the random sequence of its number, so
// its tokens depend on its prompt, that number and the seed: neither on the other prompts nor on the decoder's slots.
std::optional<std::vector<std::vector<Token>>> generate(nn::ExecContext& ctx, Decoder& decoder,
                                                        std::span<const std::vector<Token>> prompts,
                                                        const GenerateOptions& options);

}  // namespace loglog::infer
