#include "eval/score_tasks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
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
    std::vector<infer::Prompt> prompts;
    std::size_t longest = 0;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      prompts.push_back({items_[i].prompt.tokens});
      scores_[i].target = items_[i].answers[0].tokens;
      longest = std::max(longest, scores_[i].target.size());
    }
    infer::GenerateOptions options{.max_tokens = static_cast<Index>(longest), .sampling = {.temperature = 0}};
    options.overflow = infer::Overflow::slide;  // never: each item ends with its target
    infer::generate(ctx_, decoder_, prompts, options, [&](std::uint64_t i, Token token) {
      scores_[i].output.push_back(token);
      return scores_[i].output.size() < scores_[i].target.size();
    });
  }

  std::vector<ItemScore> take() { return std::move(scores_); }

 private:
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
      const TaskItem& item = items_[which[j]];
      for (float& loss : losses[j]) {
        if (!std::isfinite(loss)) refuse(item, k, loss);
        loss = -loss;
      }
      scores_[which[j]].answers.push_back({std::move(losses[j]), item.answers[k].text.size()});
    }
  }

  [[noreturn]] static void refuse(const TaskItem& item, std::size_t answer, float loss) {
    throw Error(
        Exit::diverged,
        fmt::format("line {} of the task: the loss of answer {} is {}: the model's training has diverged",
                    item.line, answer, loss));
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
