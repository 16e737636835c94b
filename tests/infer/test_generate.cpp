#include "infer/generate.hpp"

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "small_decoder.hpp"

using namespace loglog;
using namespace loglog::testing;
using infer::GenerateOptions;
using infer::Overflow;
using infer::Prompt;
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

std::vector<Prompt> as_prompts(const Texts& texts) {
  std::vector<Prompt> all;
  for (const auto& text : texts) all.push_back({text});
  return all;
}

Texts run(Index slots, const Texts& from, const GenerateOptions& options) {
  SmallDecoder small(trained(), slots);
  return samples_of(small, as_prompts(from), options);
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

TEST_CASE(
    "samples that share a prompt are those of each alone, with any number of slots, and when the context "
    "slides") {
  const model::ModelConfig plain = config();
  model::ModelConfig prefix = plain, window = plain;
  prefix.mask = "prefix", prefix.mask_span = 3;
  window.mask = "window", window.mask_span = 3, window.position = "rope", window.kv_heads = 1;
  const kernels::FloatType type = GENERATE(kernels::FloatType::float32, kernels::FloatType::bfloat16);
  for (const model::ModelConfig& m : {plain, prefix, window}) {
    SmallModel model(m, {1, 12}, kernels::select_table("auto"), 1, type);
    GenerateOptions options{.max_tokens = 20, .sampling = {.seed = 6}};
    options.overflow = Overflow::slide;
    const std::vector<Token> first = {1, 4, 9, 2, 7}, second = {3, 3, 8, 5};
    const std::vector<Prompt> shared = {{first, 14}, {second, 1}, {second, 4}};
    std::vector<Prompt> apart(14, Prompt{first});
    apart.resize(19, Prompt{second});
    SmallDecoder alone(model, 1, type);
    const Texts expected = samples_of(alone, apart, options);
    REQUIRE(std::set<std::vector<Token>>(expected.begin(), expected.end()).size() == 19);
    for (const Index slots : {1, 3, 19}) {
      CAPTURE(m.mask, slots);
      SmallDecoder small(model, slots, type);
      CHECK(samples_of(small, shared, options) == expected);
      // Some end early: those that come then find the prompt with others, with some that have slid on, or nowhere.
      Texts cut(19), cut_expected = expected;
      infer::generate(small.ctx, small.decoder, shared, options, [&](std::uint64_t sample, Token token) {
        cut[sample].push_back(token);
        return cut[sample].size() < 1 + 5 * (sample % 3);
      });
      for (std::size_t i = 0; i < cut_expected.size(); ++i) cut_expected[i].resize(1 + 5 * (i % 3));
      CHECK(cut == cut_expected);
    }
  }
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
  const Texts from = prompts(3);
  Texts told(3);
  GenerateOptions options{.max_tokens = 9, .sampling = {.seed = 4}};
  const Texts whole = run(2, from, options);
  SmallDecoder two(trained(), 2);
  CHECK(infer::generate(two.ctx, two.decoder, as_prompts(from), options, [&](std::uint64_t i, Token token) {
    told[i].push_back(token);
    return told[i].size() < 2 + i;
  }));
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(told[i] ==
          std::vector<Token>(whole[i].begin(), whole[i].begin() + 2 + static_cast<std::ptrdiff_t>(i)));
  int asked = 0, count = 0;
  options.stop_requested = [&] { return ++asked > 3; };
  SmallDecoder small(trained(), 1);
  CHECK_FALSE(infer::generate(small.ctx, small.decoder, as_prompts(prompts(1)), options,
                              [&](std::uint64_t, Token) { return ++count > 0; }));
  CHECK(count == 3);
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
