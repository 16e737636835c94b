#include "infer/generate.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"

namespace loglog::infer {

void require_room(const model::ModelConfig& config, std::span<const Token> prompt,
                  const GenerateOptions& options) {
  const auto size = static_cast<Index>(prompt.size());
  if (size == 0) throw UsageError("the prompt is empty: a model predicts from at least one token");
  for (const Token token : prompt) {
    if (token < 0 || token >= config.vocab)
      throw UsageError(
          fmt::format("the prompt has token {}: the model knows 0 to {}", token, config.vocab - 1));
  }
  const Index shortest = shortest_prompt(config);
  if (size < shortest) {
    throw UsageError(fmt::format(
        "the prompt has {} tokens: this model (model.mask = {}, mask_span = {}) needs at least {}", size,
        config.mask, config.mask_span, shortest));
  }
  if (size > config.context) {
    throw UsageError(fmt::format("the prompt has {} tokens, the model's context {}", size, config.context));
  }
  const Index room = room_behind(size, config.context);
  if (options.overflow == Overflow::refuse && options.max_tokens > room) {
    throw UsageError(fmt::format(
        "the model's context of {} tokens has room for {} behind a prompt of {}, not for {}: ask for "
        "fewer (--max-tokens), or begin again with its second half when it is full (--slide)",
        config.context, room, size, options.max_tokens));
  }
}

namespace {

// A sample that is being written.
struct Writing {
  std::size_t number;
  Index slot;
  std::vector<Token> text;  // prompt and new tokens
  std::size_t read = 0;     // of text, by the model
};

class Generator {
 public:
  Generator(nn::ExecContext& ctx, Decoder& decoder, std::span<const std::vector<Token>> prompts,
            const GenerateOptions& options)
      : ctx_(ctx),
        decoder_(decoder),
        prompts_(prompts),
        options_(options),
        sampler_(options.sampling),
        samples_(prompts.size()) {
    for (Index slot = decoder.slots(); slot-- > 0;) free_.push_back(slot);
    for (const auto& prompt : prompts) require_room(decoder.config(), prompt, options);
  }

  bool run() {
    if (options_.max_tokens <= 0) return true;
    while (true) {
      if (options_.stop_requested && options_.stop_requested()) return false;
      begin_samples();
      if (writing_.empty()) return true;
      take_tokens();
    }
  }
  std::vector<std::vector<Token>> take() { return std::move(samples_); }

 private:
  // As many of the prompts that wait as there are free slots.
  void begin_samples() {
    for (; next_ < prompts_.size() && !free_.empty(); ++next_) {
      decoder_.forget(free_.back());
      writing_.push_back({next_, free_.back(), prompts_[next_]});
      free_.pop_back();
    }
  }

  // One pass, and a token for every sample at hand.
  void take_tokens() {
    std::vector<Piece> pieces;
    for (Writing& w : writing_) {
      if (static_cast<Index>(w.text.size() - w.read) > decoder_.context() - decoder_.length(w.slot)) slide(w);
      pieces.push_back({w.slot, std::span<const Token>(w.text).subspan(w.read)});
    }
    const nn::ConstMatrixView logits = decoder_.next(ctx_, pieces);
    for (std::size_t i = 0; i < writing_.size(); ++i) {
      Writing& w = writing_[i];
      std::vector<Token>& sample = samples_[w.number];
      w.read = w.text.size();
      const std::span<const float> row(logits.row(static_cast<Index>(i)),
                                       static_cast<std::size_t>(logits.cols));
      sample.push_back(sampler_.draw(row, options_.first_sample + w.number, sample.size()));
      w.text.push_back(sample.back());
      const bool goes_on = !options_.on_token || options_.on_token(w.number, sample.back());
      if (goes_on && static_cast<Index>(sample.size()) < options_.max_tokens) continue;
      free_.push_back(w.slot);
      w.slot = -1;
    }
    std::erase_if(writing_, [](const Writing& w) { return w.slot < 0; });
  }

  void slide(Writing& w) {
    const auto kept =
        static_cast<std::size_t>(std::max(shortest_prompt(decoder_.config()), (decoder_.context() + 1) / 2));
    w.text.erase(w.text.begin(), w.text.end() - static_cast<std::ptrdiff_t>(kept));
    w.read = 0;
    decoder_.forget(w.slot);
  }

  nn::ExecContext& ctx_;
  Decoder& decoder_;
  std::span<const std::vector<Token>> prompts_;
  const GenerateOptions& options_;
  Sampler sampler_;
  std::vector<std::vector<Token>> samples_;
  std::vector<Writing> writing_;
  std::vector<Index> free_;  // slots
  std::size_t next_ = 0;     // prompt to begin with
};

}  // namespace

std::optional<std::vector<std::vector<Token>>> generate(nn::ExecContext& ctx, Decoder& decoder,
                                                        std::span<const std::vector<Token>> prompts,
                                                        const GenerateOptions& options) {
  Generator generator(ctx, decoder, prompts, options);
  if (!generator.run()) return std::nullopt;
  return generator.take();
}

}  // namespace loglog::infer
