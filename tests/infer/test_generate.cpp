#include "infer/generate.hpp"

#include <set>

#include "base/error.hpp"
#include "small_decoder.hpp"

using namespace loglog;
using namespace loglog::testing;
using infer::GenerateOptions;
using infer::Overflow;
using infer::Token;
using Texts = std::vector<std::vector<Token>>;

namespace {

model::ModelConfig config() {
  return {.layers = 2, .width = 16, .heads = 2, .context = 12, .vocab = 11};
}

SmallModel& trained() {
  static SmallModel model(config(), {1, 12}, kernels::select_table("auto"));
  return model;
}

// Prompts of unequal lengths.
Texts prompts(std::size_t count) {
  Texts result;
  for (std::size_t i = 0; i < count; ++i)
    result.push_back(some_tokens(static_cast<Index>(1 + (3 * i) % 5), config().vocab, 20 + i));
  return result;
}

Texts run(Index slots, const Texts& from, const GenerateOptions& options) {
  SmallDecoder small(trained(), slots);
  return *infer::generate(small.ctx, small.decoder, from, options);
}

}  // namespace

TEST_CASE("eight samples at a time are each alone, with any number of slots") {
  const Overflow overflow = GENERATE(Overflow::refuse, Overflow::slide);
  GenerateOptions options{.max_tokens = overflow == Overflow::slide ? 30 : 8, .sampling = {.seed = 5}};
  options.overflow = overflow;
  const Texts from = prompts(8), all = run(8, from, options);
  std::set<std::vector<Token>> different(all.begin(), all.end());
  REQUIRE(different.size() == 8);
  CHECK(run(3, from, options) == all);
  CHECK(run(1, from, options) == all);
  for (std::size_t i = 0; i < from.size(); ++i) {
    GenerateOptions alone = options;
    alone.first_sample = i;
    CHECK(run(1, {from[i]}, alone) == Texts{all[i]});
  }
}

TEST_CASE("samples of one prompt differ, and a seed repeats them") {
  const Texts same(4, {1, 2});
  const GenerateOptions options{.max_tokens = 10, .sampling = {.seed = 1}};
  const Texts first = run(4, same, options);
  CHECK(std::set<std::vector<Token>>(first.begin(), first.end()).size() == 4);
  CHECK(run(2, same, options) == first);
  CHECK(run(4, same, {.max_tokens = 10, .sampling = {.seed = 2}}) != first);
}

TEST_CASE("greedy tokens are those of the highest logit of the whole text") {
  const Texts from = prompts(3);
  const Texts samples = run(2, from, {.max_tokens = 8, .sampling = {.temperature = 0}});
  SmallDecoder small(trained(), 1);
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::vector<Token> text = from[i];
    for (const Token token : samples[i]) {
      small.decoder.forget(0);
      const infer::Piece piece{0, text};
      const auto logits = small.decoder.next(small.ctx, std::span(&piece, 1));
      REQUIRE(token == infer::most_probable({logits.row(0), static_cast<std::size_t>(logits.cols)}));
      text.push_back(token);
    }
  }
}

TEST_CASE("a full context begins again with its second half") {
  GenerateOptions options{.max_tokens = 12, .sampling = {.temperature = 0}};
  options.overflow = Overflow::slide;
  const std::vector<Token> sample = run(1, {{3}}, options)[0];
  // The prompt and 11 tokens fill the context of 12; token 12 comes from the last 6 alone.
  REQUIRE(sample.size() == 12);
  std::vector<Token> text = {3};
  text.insert(text.end(), sample.begin(), sample.end());
  options.max_tokens = 13;
  const std::vector<Token> longer = run(1, {{3}}, options)[0];
  SmallDecoder small(trained(), 1);
  const infer::Piece half{0, std::span(text).last(6)};
  const auto logits = small.decoder.next(small.ctx, std::span(&half, 1));
  CHECK(longer.back() == infer::most_probable({logits.row(0), static_cast<std::size_t>(logits.cols)}));
}

TEST_CASE("each token is told at once, and a sample can be ended by it") {
  Texts told(3);
  GenerateOptions options{.max_tokens = 9, .sampling = {.seed = 4}};
  options.on_token = [&](std::size_t sample, Token token) {
    told[sample].push_back(token);
    return told[sample].size() < 2 + sample;
  };
  const Texts samples = run(2, prompts(3), options);
  CHECK(samples == told);
  for (std::size_t i = 0; i < 3; ++i) CHECK(samples[i].size() == 2 + i);
  options.on_token = {};
  int asked = 0;
  options.stop_requested = [&] { return ++asked > 3; };
  SmallDecoder small(trained(), 1);
  CHECK_FALSE(infer::generate(small.ctx, small.decoder, prompts(1), options));
}

TEST_CASE("what a model cannot continue is refused with its limits") {
  const auto message = [](const std::vector<Token>& prompt, Index tokens, model::ModelConfig m) {
    try {
      infer::require_room(m, prompt, {.max_tokens = tokens});
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  model::ModelConfig m = config();
  CHECK(message({1, 2}, 11, m) == "");
  CHECK_THAT(message({1, 2}, 12, m), Catch::Contains("context of 12") && Catch::Contains("room for 11"));
  CHECK_THAT(message({}, 1, m), Catch::Contains("empty"));
  CHECK_THAT(message({1, 11}, 1, m), Catch::Contains("token 11") && Catch::Contains("0 to 10"));
  CHECK_THAT(message({-1}, 1, m), Catch::Contains("token -1"));
  CHECK_THAT(message(std::vector<Token>(13), 1, m), Catch::Contains("13 tokens"));
  m.mask = "prefix", m.mask_span = 4;
  CHECK_THAT(message({1, 2, 3, 4}, 1, m), Catch::Contains("at least 5"));
  m.mask = "full";
  CHECK_THAT(message({1, 2}, 1, m), Catch::Contains("model.mask = full"));
}
