// Reading piece by piece from a cache against the whole text in one training pass: the same bits, on every row.
#include "infer/decoder.hpp"

#include "base/check.hpp"
#include "base/error.hpp"
#include "small_decoder.hpp"
#include "support/isa.hpp"

using namespace loglog;
using namespace loglog::testing;
using infer::Piece;
using kernels::FloatType;
using kernels::KeyValueType;

namespace {

constexpr Index kTexts = 3;
constexpr KeyValueType kCaches[] = {KeyValueType::float32, KeyValueType::bfloat16, KeyValueType::int8};

model::ModelConfig variant(int number) {
  model::ModelConfig m{.layers = 2, .width = 16, .heads = 4, .context = 21, .vocab = 13};
  switch (number) {
    case 0:
      break;
    case 1:  // Llama's
      m.norm = "rmsnorm", m.position = "rope", m.mlp = "swiglu", m.bias = false, m.tied = false,
      m.kv_heads = 2;
      break;
    case 2:
      m.mask = "window", m.mask_span = 5, m.position = "rope", m.rope_share = 0.5, m.block = "parallel";
      break;
    case 3:
      m.mask = "prefix", m.mask_span = 6, m.qk_norm = true, m.kv_heads = 1;
      break;
    default:  // keys of more than one block of the kernel (256)
      m.mlp = "none", m.position = "none", m.context = 300, m.layers = 1;
  }
  return m;
}

// The same texts in pieces of 1 to 7 tokens, those of all sequences in one call; the first one holds `shortest`.
std::vector<std::vector<float>> losses_in_pieces(SmallDecoder& small,
                                                 const std::vector<std::vector<std::int32_t>>& texts,
                                                 Index shortest) {
  std::vector<std::vector<float>> losses(texts.size());
  std::vector<std::size_t> read(texts.size());
  for (std::uint64_t round = 0;; ++round) {
    std::vector<Piece> pieces;
    for (std::size_t b = 0; b < texts.size(); ++b) {
      const std::size_t left = texts[b].size() - 1 - read[b];
      const auto wanted = std::size_t{1} + Rng(7, b).below(round, 7);
      const std::size_t count =
          std::min(left, read[b] == 0 ? std::max(wanted, static_cast<std::size_t>(shortest)) : wanted);
      if (count > 0)
        pieces.push_back({static_cast<Index>(b), std::span(texts[b]).subspan(read[b], count + 1)});
    }
    if (pieces.empty()) return losses;
    const auto found = small.decoder.losses(small.ctx, pieces);
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const auto b = static_cast<std::size_t>(pieces[i].slot);
      read[b] += found[i].size();
      losses[b].insert(losses[b].end(), found[i].begin(), found[i].end());
    }
  }
}

}  // namespace

TEST_CASE("losses from a cache have the bits of the whole text in one pass") {
  const int number = GENERATE(range(0, 5));
  const FloatType type = GENERATE(FloatType::float32, FloatType::bfloat16);
  const int threads = GENERATE(1, 3);
  CAPTURE(number, type, threads);
  const model::ModelConfig m = variant(number);
  SmallModel trained(m, {kTexts, m.context}, test_table(), 1, type);
  make_next_tokens_targets(trained);
  trained.forward();
  SmallDecoder small(trained, kTexts, type, threads);
  std::vector<std::vector<std::int32_t>> texts;
  for (Index b = 0; b < kTexts; ++b) texts.push_back(whole_text(trained, b));
  texts[1].resize(texts[1].size() - 3);  // unequal lengths
  const auto losses = losses_in_pieces(small, texts, infer::shortest_prompt(m));
  for (std::size_t b = 0; b < texts.size(); ++b) {
    REQUIRE(losses[b].size() == texts[b].size() - 1);
    const auto first = trained.losses.begin() + static_cast<std::ptrdiff_t>(b) * m.context;
    const std::vector<float> whole(first, first + static_cast<std::ptrdiff_t>(losses[b].size()));
    CHECK(compare_equal(losses[b], whole));
  }
}

TEST_CASE("logits behind each token have the bits of the whole text in one pass") {
  const int number = GENERATE(0, 1, 3);
  const FloatType type = GENERATE(FloatType::float32, FloatType::bfloat16);
  CAPTURE(number, type);
  const model::ModelConfig m = variant(number);
  SmallModel trained(m, {1, m.context}, test_table(), 1, type);
  SmallDecoder small(trained, 2, type);
  const std::vector<std::int32_t>& text = trained.tokens;
  // Which tokens see each other depends on what came in the first piece where a prefix sees itself.
  const auto start = static_cast<std::size_t>(infer::shortest_prompt(m));
  std::vector<std::vector<float>> one_by_one;
  for (std::size_t read = 0; read < text.size();) {
    const std::size_t count = read == 0 ? start : 1;
    const Piece piece{1, std::span(text).subspan(read, count)};
    const auto logits = small.decoder.next(small.ctx, std::span(&piece, 1));
    one_by_one.emplace_back(logits.row(0), logits.row(0) + m.vocab);
    read += count;
  }
  for (std::size_t i = 0; i < one_by_one.size(); ++i) {
    small.decoder.forget(0);
    const Piece piece{0, std::span(text).first(start + i)};
    const auto logits = small.decoder.next(small.ctx, std::span(&piece, 1));
    CHECK(compare_equal(std::vector<float>(logits.row(0), logits.row(0) + m.vocab), one_by_one[i]));
  }
  // And they are the numbers that losses come from.
  small.decoder.forget(0);
  const Piece whole{0, text};
  const std::vector<float> losses = small.decoder.losses(small.ctx, std::span(&whole, 1))[0];
  for (std::size_t i = start - 1; i < losses.size(); ++i) {
    const std::vector<float>& logits = one_by_one[i + 1 - start];
    double sum = 0;
    for (const float x : logits) sum += std::exp(double(x));
    const double exact = std::log(sum) - double(logits[static_cast<std::size_t>(text[i + 1])]);
    CHECK(losses[i] == Approx(exact).epsilon(1e-5).margin(1e-5));
  }
}

TEST_CASE("a text goes on from where it was cut back to, and does not notice its neighbours") {
  const model::ModelConfig m = variant(1);
  SmallModel trained(m, {2, m.context}, test_table());
  SmallDecoder small(trained, 2);
  const std::vector<std::int32_t> first = whole_text(trained, 0), second = whole_text(trained, 1);
  const auto losses_of = [&](Index slot, std::span<const std::int32_t> tokens) {
    const Piece piece{slot, tokens};
    return small.decoder.losses(small.ctx, std::span(&piece, 1))[0];
  };
  const std::vector<float> alone = losses_of(0, first);
  small.decoder.forget(0);
  losses_of(1, second);
  losses_of(0, std::span(first).first(9));
  losses_of(0, std::span(second).first(5));  // another way to go on
  small.decoder.forget(0, 8);
  const std::vector<float> rest = losses_of(0, std::span(first).subspan(8));
  CHECK(compare_equal(rest, std::vector<float>(alone.begin() + 8, alone.end())));
}

TEST_CASE("more text than fits into a pass is read in several") {
  const model::ModelConfig m = variant(0);
  SmallModel trained(m, {1, m.context}, test_table());
  const Index slots = 40;  // of 21 tokens, 256 of which go into a pass
  SmallDecoder small(trained, slots);
  REQUIRE(small.gpt.shape().rows() < slots * m.context);
  std::vector<Piece> pieces;
  for (Index s = 0; s < slots; ++s) pieces.push_back({s, trained.tokens});
  const auto logits = small.decoder.next(small.ctx, pieces);
  REQUIRE(logits.rows == slots);
  for (Index s = 1; s < slots; ++s)
    REQUIRE(compare_equal(std::vector<float>(logits.row(s), logits.row(s) + m.vocab),
                          std::vector<float>(logits.row(0), logits.row(0) + m.vocab)));
}

TEST_CASE("with any type of cache a text has the same bits whole and in pieces, alone and beside others") {
  const int number = GENERATE(range(0, 5));
  const FloatType type = GENERATE(FloatType::float32, FloatType::bfloat16);
  const KeyValueType cache = GENERATE(from_range(std::begin(kCaches), std::end(kCaches)));
  CAPTURE(number, type, cache);
  const model::ModelConfig m = variant(number);
  SmallModel trained(m, {kTexts, m.context}, test_table(), 1, type);
  std::vector<std::vector<std::int32_t>> texts;
  for (Index b = 0; b < kTexts; ++b) texts.push_back(whole_text(trained, b));
  texts[1].resize(texts[1].size() - 3);
  SmallDecoder together(trained, kTexts, type, 3, cache), alone(trained, 1, type, 1, cache);
  const auto losses = losses_in_pieces(together, texts, infer::shortest_prompt(m));
  for (std::size_t b = 0; b < texts.size(); ++b) {
    alone.decoder.forget(0);
    const Piece whole{0, texts[b]};
    CHECK(compare_equal(losses[b], alone.decoder.losses(alone.ctx, std::span(&whole, 1))[0]));
  }
}

TEST_CASE("the cache has the type that is asked for: other numbers than those of the products' own") {
  const model::ModelConfig m = variant(1);
  SmallModel trained(m, {1, m.context}, test_table());
  const std::vector<std::int32_t> text = whole_text(trained, 0);
  std::vector<std::vector<float>> losses;
  for (const KeyValueType cache : kCaches) {
    SmallDecoder small(trained, 1, FloatType::float32, 1, cache);
    const Piece whole{0, text};
    losses.push_back(small.decoder.losses(small.ctx, std::span(&whole, 1))[0]);
  }
  SmallDecoder plain(trained, 1);
  const Piece whole{0, text};
  CHECK(compare_equal(losses[0], plain.decoder.losses(plain.ctx, std::span(&whole, 1))[0]));
  CHECK(losses[1] != losses[0]);
  CHECK(losses[2] != losses[0]);
  CHECK(losses[2] != losses[1]);
}

TEST_CASE("a copy of what was read goes on with the bits of the original, in every type of cache") {
  const model::ModelConfig m = variant(1);
  SmallModel trained(m, {1, m.context}, test_table());
  const std::vector<std::int32_t> text = whole_text(trained, 0);
  for (const KeyValueType cache : kCaches) {
    CAPTURE(cache);
    SmallDecoder small(trained, 2, FloatType::float32, 1, cache);
    const Piece begin{0, std::span(text).first(9)};
    small.decoder.read(small.ctx, std::span(&begin, 1));
    small.decoder.copy(0, 1, 9);
    const Piece rest[] = {{0, std::span(text).subspan(9)}, {1, std::span(text).subspan(9)}};
    const auto losses = small.decoder.losses(small.ctx, rest);
    CHECK(compare_equal(losses[1], losses[0]));
  }
}

TEST_CASE("a decoder takes its cache, and logits of a token of every slot") {
  model::ModelConfig m = variant(1);
  m.vocab = 50000;
  SmallModel trained(variant(1), {1, 21}, test_table());
  for (const KeyValueType cache : kCaches) {
    CHECK(infer::Decoder::bytes(m, cache, 8) ==
          infer::KvCache::bytes(m, cache, 8, m.context) + std::size_t{8} * 50000 * 4);
    SmallDecoder small(trained, 5, FloatType::bfloat16, 1, cache);
    CHECK(small.decoder.bytes() == infer::Decoder::bytes(variant(1), cache, 5));
  }
}

TEST_CASE("what a decoder is not made for is refused") {
  model::ModelConfig m = variant(0);
  SmallModel trained(m, {1, m.context}, test_table());
  SmallDecoder small(trained, 1);
  const std::vector<std::int32_t> long_text(static_cast<std::size_t>(m.context) + 1);
  const Piece piece{0, long_text};
  REQUIRE_THROWS_AS(small.decoder.read(small.ctx, std::span(&piece, 1)), ContractError);
  const Piece empty{0, {}};
  REQUIRE_THROWS_AS(small.decoder.next(small.ctx, std::span(&empty, 1)), ContractError);
  REQUIRE_THROWS_AS(trained.gpt.forward(trained.ctx, model::NewTokens{}), ContractError);
  REQUIRE_THROWS_AS(
      small.gpt.forward_backward(small.ctx, 1, long_text.data(), long_text.data(), 1.0f, nullptr),
      ContractError);
  m.mask = "full";
  REQUIRE_THROWS_AS(infer::shortest_prompt(m), UsageError);
}
