// facts: entropies by brute force, held-out templates that never occur, exposures that are counted.
#include "data/worlds/facts.hpp"

#include <map>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "world_checks.hpp"

using namespace loglog;
using namespace loglog::data;

TEST_CASE("facts: block entropies by brute force") {
  const FactsWorld world({2, 1, 2, 1, 2, 1, 0.5}, 3);
  REQUIRE(world.vocab_size() == 2 * 2 + 2 + 2 + 1);
  REQUIRE(world.period() == 5);
  const auto p = zipf(2, 1.5);
  REQUIRE(world.entropy_rate() == Approx(entropy(p) / 5).epsilon(1e-12));  // one template each
  REQUIRE(brute_block_entropy(world, 5) == Approx(*world.block_entropy(5)).epsilon(1e-10));
  check_frequencies(world);
  const FactsWorld more({5, 2, 7, 2, 4, 1, 0.7}, 3);
  const auto q = zipf(10, 1.7);
  REQUIRE(more.entropy_rate() == Approx((entropy(q) + std::log(3.0)) / 6).epsilon(1e-12));
  REQUIRE((*more.block_entropy(606) - *more.block_entropy(600)) / 6 ==
          Approx(more.entropy_rate()).epsilon(1e-9));
}

TEST_CASE("facts: the truth is what the text says") {
  const FactsWorld world({6, 3, 16, 2, 4, 2, 0.5}, 7);
  const std::size_t period = world.period();
  const std::uint64_t count = 6000 * period;
  const std::vector<Token> text = text_of_world(world, count);
  std::map<std::vector<Token>, std::vector<Token>> value_of;  // by prompt
  std::map<std::vector<Token>, std::uint64_t> times;
  for (std::size_t i = 0; i < text.size(); i += period) {
    const auto at = text.begin() + static_cast<std::ptrdiff_t>(i);
    const std::vector<Token> prompt(at, at + 3), value(at + 3, at + 5);
    REQUIRE(text[i + 5] == world.header()["document_end"]);
    const auto known = value_of.try_emplace(prompt, value).first;
    REQUIRE(known->second == value);
    ++times[prompt];
  }
  std::uint64_t facts = 0, sentences = 0;
  double last = 1, sum = 0;
  world.tell_truth(Rng(3, 3), count, [&](const nlohmann::json& line) {
    if (!line.contains("fact")) {
      CHECK(line.at("facts") == 18);
      CHECK(line.at("bits") == 18 * 2 * 4);  // two tokens of 16
      return;
    }
    const double p = line.at("probability").get<double>();
    CHECK(p <= last);
    last = p;
    sum += p;
    std::uint64_t held_out = 0, exposures = 0;
    for (const auto& prompt : line.at("prompts")) {
      const auto tokens = prompt.at("tokens").get<std::vector<Token>>();
      const std::uint64_t seen = prompt.at("exposures");
      CHECK(times[tokens] == seen);
      if (prompt.at("held_out").get<bool>()) {
        ++held_out;
        CHECK(seen == 0);
      } else if (seen > 0) {
        CHECK(value_of.at(tokens) == line.at("value").get<std::vector<Token>>());
      }
      exposures += seen;
    }
    CHECK(held_out == 2);
    CHECK(line.at("exposures") == exposures);
    CHECK(std::abs(static_cast<double>(exposures) - 6000 * p) < 5 * std::sqrt(6000 * p) + 1);
    sentences += exposures;
    ++facts;
  });
  CHECK(facts == 18);
  CHECK(sentences == 6000);
  CHECK(sum == Approx(1.0));
}

TEST_CASE("facts: what leaves no template, or is too much, is refused") {
  const WorldKind& kind = find_world("facts");
  const auto make = [&](std::vector<std::string> settings) {
    return kind.make(resolve_parameters(kind, settings), 1);
  };
  CHECK_THROWS_AS(make({"templates=3", "held_out=3"}), UsageError);
  CHECK_THROWS_AS(make({"entities=65536", "relations=256"}), UsageError);
  CHECK_NOTHROW(make({"templates=1", "held_out=0", "entities=1", "relations=1"}));
}
