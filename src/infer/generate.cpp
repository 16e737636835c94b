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
  std::uint64_t number;
  std::size_t prompt;  // number of it
  Index slot;
  std::vector<Token> text;  // prompt and new tokens
  std::size_t read = 0;     // of text, by the model
  Index written = 0;        // new tokens
  bool has_prompt = true;   // text still begins with all of it
};

class Generator {
 public:
  Generator(nn::ExecContext& ctx, Decoder& decoder, std::span<const Prompt> prompts,
            const GenerateOptions& options, const OnToken& on_token)
      : ctx_(ctx),
        decoder_(decoder),
        prompts_(prompts),
        options_(options),
        on_token_(on_token),
        sampler_(options.sampling) {
    for (Index slot = decoder.slots(); slot-- > 0;) free_.push_back(slot);
    for (const Prompt& prompt : prompts) require_room(decoder.config(), prompt.tokens, options);
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

 private:
  // As many of those that wait as there are free slots.
  void begin_samples() {
    for (; prompt_ < prompts_.size(); ++prompt_, begun_ = 0) {
      for (; begun_ < prompts_[prompt_].samples; ++begun_) {
        if (free_.empty()) return;
        begin_sample();
      }
    }
  }

  void begin_sample() {
    const Prompt& prompt = prompts_[prompt_];
    Writing w{next_++, prompt_, free_.back(), {prompt.tokens.begin(), prompt.tokens.end()}};
    free_.pop_back();
    decoder_.forget(w.slot);
    if (prompt.samples > 1 && prompt.tokens.size() > 1) share_prompt(w);
    writing_.push_back(std::move(w));
  }

  // All but the last token of a prompt, which says what follows: from a sample that has read it, else for those that come.
  void share_prompt(Writing& w) {
    w.read = w.text.size() - 1;
    const auto other = std::ranges::find_if(
        writing_, [&](const Writing& o) { return o.prompt == w.prompt && o.has_prompt; });
    if (other != writing_.end()) return decoder_.copy(other->slot, w.slot, static_cast<Index>(w.read));
    const Piece piece{w.slot, std::span(w.text).first(w.read)};
    decoder_.read(ctx_, std::span(&piece, 1));
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
      w.read = w.text.size();
      const std::span<const float> row(logits.row(static_cast<Index>(i)),
                                       static_cast<std::size_t>(logits.cols));
      const auto index = static_cast<std::uint64_t>(w.written++);
      w.text.push_back(sampler_.draw(row, options_.first_sample + w.number, index));
      const bool goes_on = on_token_(w.number, w.text.back());
      if (goes_on && w.written < options_.max_tokens) continue;
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
    w.has_prompt = false;
    decoder_.forget(w.slot);
  }

  nn::ExecContext& ctx_;
  Decoder& decoder_;
  std::span<const Prompt> prompts_;
  const GenerateOptions& options_;
  const OnToken& on_token_;
  Sampler sampler_;
  std::vector<Writing> writing_;
  std::vector<Index> free_;  // slots
  std::size_t prompt_ = 0;   // that samples are begun of
  std::uint64_t begun_ = 0;  // samples of it
  std::uint64_t next_ = 0;   // number of the next sample
};

}  // namespace

bool generate(nn::ExecContext& ctx, Decoder& decoder, std::span<const Prompt> prompts,
              const GenerateOptions& options, const OnToken& on_token) {
  return Generator(ctx, decoder, prompts, options, on_token).run();
}

}  // namespace loglog::infer
