// What a model makes of the questions of a task.
#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "eval/task_file.hpp"
#include "infer/decoder.hpp"

namespace loglog::eval {

// log p(answer | prompt), nats.
struct AnswerScore {
  std::vector<float> token_log_probs;
  std::size_t bytes = 0;  // of its text; 0 where there is none
  double log_prob() const;
};

struct ItemScore {
  std::size_t line;
  std::vector<AnswerScore> answers;  // as in the item
  std::size_t right = 0;
  std::vector<Token> target, output;  // exact match: the target and as many greedy tokens
};

// `done` items so far; false asks to break off.
using OnItems = std::function<bool(std::size_t done)>;

// Scores of all items in their order; `task` is tokenised. A prompt is read once for all its choices. No bit depends on the decoder's
// slots. Nothing when `on_items` asked to break off. Error (exit 5), naming the item's line, for a log-probability that is not finite.
std::optional<std::vector<ItemScore>> score_task(nn::ExecContext& ctx, infer::Decoder& decoder,
                                                 const Task& task, const OnItems& on_items = {});

}  // namespace loglog::eval
