#include "eval/score_tasks.hpp"

#include <algorithm>
#include <numeric>

#include "infer/generate.hpp"

namespace loglog::eval {
namespace {

using infer::Index;
using infer::Piece;

// Items that are at the decoder together, one per slot.
class Group {
 public:
  Group(nn::ExecContext& ctx, infer::Decoder& decoder, std::span<const TaskItem> items)
      : ctx_(ctx), decoder_(decoder), items_(items) {
    for (const TaskItem& item : items) scores_.push_back({item.line, {}, item.right, {}, {}});
  }

  void score_answers() {
    read_prompts();
    std::size_t most = 0;
    for (const TaskItem& item : items_) most = std::max(most, item.answers.size());
    for (std::size_t k = 0; k < most; ++k) score_answer(k);
  }

  void answer_greedily() {
    std::vector<std::vector<Token>> prompts;
    Index longest = 0;
    for (const TaskItem& item : items_) {
      prompts.push_back(item.prompt.tokens);
      longest = std::max(longest, static_cast<Index>(target(item).size()));
    }
    std::vector<std::size_t> written(items_.size());
    infer::GenerateOptions options{.max_tokens = longest, .sampling = {.temperature = 0}};
    options.overflow = infer::Overflow::slide;  // never: each item ends with its target
    options.on_token = [&](std::size_t i, Token) { return ++written[i] < target(items_[i]).size(); };
    auto outputs = infer::generate(ctx_, decoder_, prompts, options);
    for (std::size_t i = 0; i < items_.size(); ++i) {
      scores_[i].target = target(items_[i]);
      scores_[i].output = std::move((*outputs)[i]);
    }
  }

  std::vector<ItemScore> take() { return std::move(scores_); }

 private:
  static const std::vector<Token>& target(const TaskItem& item) { return item.answers[0].tokens; }

  // All but the last token, which is read with each answer: what follows it is the answer's first.
  void read_prompts() {
    std::vector<Piece> pieces;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const std::span<const Token> prompt(items_[i].prompt.tokens);
      decoder_.forget(static_cast<Index>(i));
      if (prompt.size() > 1) pieces.push_back({static_cast<Index>(i), prompt.first(prompt.size() - 1)});
    }
    decoder_.read(ctx_, pieces);
  }

  // Answer number k of the items that have so many.
  void score_answer(std::size_t k) {
    std::vector<std::size_t> which;
    std::vector<std::vector<Token>> tokens;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (k >= items_[i].answers.size()) continue;
      which.push_back(i);
      tokens.push_back({items_[i].prompt.tokens.back()});
      const std::vector<Token>& answer = items_[i].answers[k].tokens;
      tokens.back().insert(tokens.back().end(), answer.begin(), answer.end());
      decoder_.forget(static_cast<Index>(i), static_cast<Index>(items_[i].prompt.tokens.size()) - 1);
    }
    std::vector<Piece> pieces;
    for (std::size_t j = 0; j < which.size(); ++j)
      pieces.push_back({static_cast<Index>(which[j]), tokens[j]});
    std::vector<std::vector<float>> losses = decoder_.losses(ctx_, pieces);
    for (std::size_t j = 0; j < which.size(); ++j) {
      for (float& loss : losses[j]) loss = -loss;
      const std::size_t bytes = items_[which[j]].answers[k].text.size();
      scores_[which[j]].answers.push_back({std::move(losses[j]), bytes});
    }
  }

  nn::ExecContext& ctx_;
  infer::Decoder& decoder_;
  std::span<const TaskItem> items_;
  std::vector<ItemScore> scores_;
};

}  // namespace

double AnswerScore::log_prob() const {
  return std::accumulate(token_log_probs.begin(), token_log_probs.end(), 0.0);
}

std::optional<std::vector<ItemScore>> score_task(nn::ExecContext& ctx, infer::Decoder& decoder,
                                                 const Task& task, const OnItems& on_items) {
  std::vector<ItemScore> scores;
  const std::span<const TaskItem> items(task.items);
  while (scores.size() < items.size()) {
    if (on_items && !on_items(scores.size())) return std::nullopt;
    const std::size_t count =
        std::min(items.size() - scores.size(), static_cast<std::size_t>(decoder.slots()));
    Group group(ctx, decoder, items.subspan(scores.size(), count));
    group.score_answers();
    if (task.kind == TaskKind::exact_match) group.answer_greedily();
    std::ranges::move(group.take(), std::back_inserter(scores));
  }
  if (on_items) on_items(scores.size());
  return scores;
}

}  // namespace loglog::eval
