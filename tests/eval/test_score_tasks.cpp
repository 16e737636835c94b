#include "eval/score_tasks.hpp"

#include <limits>

#include "base/error.hpp"
#include "infer/small_decoder.hpp"

using namespace loglog;
using namespace loglog::testing;
using namespace loglog::eval;
using infer::Index;

namespace {

SmallModel& trained() {
  static const model::ModelConfig m{
      .layers = 2, .width = 16, .heads = 2, .context = 12, .vocab = 11, .position = "rope"};
  static SmallModel model(m, {1, 12}, kernels::select_table("auto"));
  return model;
}

TaskText some_text(Index count, std::uint64_t stream) {
  return {"", some_tokens(count, 11, stream), true};
}

// Seven items of unequal lengths, two to four answers each, or one target.
Task some_task(TaskKind kind) {
  Task task{"t.jsonl", kind, {}};
  for (std::uint64_t i = 0; i < 7; ++i) {
    TaskItem item{i + 1, some_text(1 + Index(i) % 4, i), {}, 0};
    const std::uint64_t answers = kind == TaskKind::exact_match ? 1 : 2 + i % 3;
    for (std::uint64_t k = 0; k < answers; ++k)
      item.answers.push_back(some_text(1 + Index(i + k) % 5, 10 * i + k));
    item.right = answers - 1;
    task.items.push_back(item);
  }
  return task;
}

std::vector<ItemScore> scores(const Task& task, Index slots) {
  SmallDecoder small(trained(), slots);
  return *score_task(small.ctx, small.decoder, task);
}

}  // namespace

TEST_CASE("an answer's log-probability has the bits of prompt and answer read as one text") {
  const Task task = some_task(TaskKind::multiple_choice);
  SmallDecoder small(trained(), 1);
  for (const Index slots : {1, 3, 8}) {
    const std::vector<ItemScore> found = scores(task, slots);
    REQUIRE(found.size() == task.items.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      const TaskItem& item = task.items[i];
      REQUIRE(found[i].answers.size() == item.answers.size());
      CHECK(found[i].line == item.line);
      CHECK(found[i].right == item.right);
      for (std::size_t k = 0; k < item.answers.size(); ++k) {
        std::vector<Token> text = item.prompt.tokens;
        text.insert(text.end(), item.answers[k].tokens.begin(), item.answers[k].tokens.end());
        small.decoder.forget(0);
        const infer::Piece whole{0, text};
        const std::vector<float> losses = small.decoder.losses(small.ctx, std::span(&whole, 1))[0];
        std::vector<float> expected;
        for (std::size_t t = item.prompt.tokens.size() - 1; t < losses.size(); ++t)
          expected.push_back(-losses[t]);
        CHECK(compare_equal(found[i].answers[k].token_log_probs, expected));
        double sum = 0;
        for (const float x : expected) sum += double(x);
        CHECK(found[i].answers[k].log_prob() == Approx(sum));
      }
    }
  }
}

TEST_CASE("exact match is by greedy tokens, as many as the target has") {
  const Task task = some_task(TaskKind::exact_match);
  for (const Index slots : {1, 4}) {
    const std::vector<ItemScore> found = scores(task, slots);
    for (std::size_t i = 0; i < found.size(); ++i) {
      const TaskItem& item = task.items[i];
      SmallDecoder small(trained(), 1);
      const auto target = static_cast<Index>(item.answers[0].tokens.size());
      const infer::Prompt prompt{item.prompt.tokens};
      const auto greedy =
          samples_of(small, std::span(&prompt, 1), {.max_tokens = target, .sampling = {.temperature = 0}});
      CHECK(found[i].output == greedy[0]);
      CHECK(found[i].target == item.answers[0].tokens);
      CHECK(found[i].answers[0].token_log_probs.size() == item.answers[0].tokens.size());
    }
  }
}

TEST_CASE("a log-probability that is not finite is refused with the line of its item") {
  const Task task = some_task(TaskKind::multiple_choice);
  SmallDecoder small(trained(), 3);
  std::ranges::fill(small.gpt.values(), std::numeric_limits<float>::quiet_NaN());
  small.gpt.values_changed();
  try {
    score_task(small.ctx, small.decoder, task);
    FAIL("was scored");
  } catch (const Error& error) {
    CHECK(error.exit_code == Exit::diverged);
    CHECK_THAT(error.what(), Catch::Contains("line 1 of the task") && Catch::Contains("nan"));
  }
}

TEST_CASE("scoring tells how far it is and can be broken off") {
  const Task task = some_task(TaskKind::multiple_choice);
  SmallDecoder small(trained(), 3);
  std::vector<std::size_t> told;
  REQUIRE(score_task(small.ctx, small.decoder, task, [&](std::size_t done) {
    told.push_back(done);
    return true;
  }));
  CHECK(told == std::vector<std::size_t>{0, 3, 6, 7});
  CHECK_FALSE(score_task(small.ctx, small.decoder, task, [](std::size_t done) { return done < 3; }));
}
