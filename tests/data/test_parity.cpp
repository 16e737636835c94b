// parity: answers that are the parities of their task, windows of any beginning by brute force, exposures.
#include "data/worlds/parity.hpp"

#include <numbers>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "world_checks.hpp"

using namespace loglog;
using namespace loglog::data;

TEST_CASE("parity: windows have the probabilities of the process") {
  const ParityWorld world({2, 2, 1, 0.5}, 3);
  REQUIRE(world.vocab_size() == 6);
  const auto p = zipf(2, 1.5);
  REQUIRE(world.entropy_rate() == Approx((entropy(p) + 2 * std::numbers::ln2) / 4).epsilon(1e-12));
  double last = 0, step = 10;
  for (std::size_t t = 1; t <= 6; ++t) {
    const double block = brute_block_entropy(world, t);
    REQUIRE(block - last < step + 1e-12);  // conditional entropies fall
    step = block - last;
    last = block;
  }
  REQUIRE(step > world.entropy_rate() - 1e-12);
  check_frequencies(world);
}

TEST_CASE("parity: every answer is that of its task, and bits are fair") {
  const ParityWorld world({9, 11, 3, 0.4}, 5);
  const std::uint64_t examples = 4000;
  const std::vector<Token> text = text_of_world(world, examples * 13);
  REQUIRE(text.size() == examples * 13);
  std::vector<std::uint64_t> seen(9);
  double ones = 0;
  for (std::size_t i = 0; i < text.size(); i += 13) {
    const auto task = static_cast<std::size_t>(text[i] - ParityWorld::kFirstTask);
    REQUIRE(task < 9);
    ++seen[task];
    Token sum = 0;
    for (const std::size_t place : world.places(task)) sum += text[i + 1 + place];
    REQUIRE(text[i + 12] == (sum % 2 == 0 ? ParityWorld::kEven : ParityWorld::kOdd));
    for (std::size_t bit = 1; bit <= 11; ++bit) ones += text[i + bit];
  }
  const double n = static_cast<double>(examples) * 11;
  REQUIRE(std::abs(ones - n / 2) < 5 * std::sqrt(n / 4));
  std::size_t task = 0;
  world.tell_truth(Rng(3, 3), examples * 13, [&](const nlohmann::json& line) {
    REQUIRE(line.at("task") == ParityWorld::kFirstTask + static_cast<Token>(task));
    REQUIRE(line.at("exposures") == seen[task]);
    const auto places = line.at("places").get<std::vector<std::size_t>>();
    REQUIRE(places == world.places(task));
    REQUIRE(places.size() == 3);
    REQUIRE((places[0] < places[1] && places[1] < places[2] && places[2] < 11));
    const double expected = line.at("probability").get<double>() * static_cast<double>(examples);
    REQUIRE(std::abs(static_cast<double>(seen[task]) - expected) < 5 * std::sqrt(expected));
    ++task;
  });
  REQUIRE(task == 9);
}

TEST_CASE("parity: more places than bits are refused") {
  const WorldKind& kind = find_world("parity");
  const std::vector<std::string> settings = {"bits=2", "subset=3"};
  REQUIRE_THROWS_AS(kind.make(resolve_parameters(kind, settings), 1), UsageError);
}
