#include "data/bigram.hpp"

#include <cmath>

#include "base/rng.hpp"
#include "data/token_files.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::data;

namespace {

std::optional<double> entropy_of(const std::vector<Token>& tokens, std::uint64_t vocab_size) {
  const TemporaryFolder folder;
  const TokenFile file = write_tokens(folder.path() / "f.tok", tokens, vocab_size);
  const std::vector<TokenRange> all = {{0, file.size(), 0}};
  return bigram_entropy(FixedSample(file, all, 8, 0), vocab_size);
}

}  // namespace

TEST_CASE("a cycle has no bigram entropy, a coin behind every other token has half of ln 2") {
  std::vector<Token> cycle, coins;
  const Rng rng(1, 1);
  for (int i = 0; i < 40001; ++i) {
    cycle.push_back(i % 3);
    coins.push_back(i % 2 == 0 ? 0 : 1 + static_cast<Token>(rng.below(static_cast<std::uint64_t>(i), 2)));
  }
  REQUIRE(*entropy_of(cycle, 3) == 0);
  REQUIRE(*entropy_of(coins, 3) == Approx(std::log(2.0) / 2).epsilon(1e-3));
}

TEST_CASE("hand count: 0 1 0 2 0 1 0 1 0") {
  // pairs after 0: 1, 2, 1, 1; after 1 and 2: always 0
  const double expected = (3 * std::log(4.0 / 3) + std::log(4.0)) / 8;
  REQUIRE(!entropy_of({0, 1, 0, 2, 0, 1, 0, 1, 0}, 3));  // nine pairs, eight targets: too few
  std::vector<Token> twice = {0, 1, 0, 2, 0, 1, 0, 1, 0, 1, 0, 2, 0, 1, 0, 1, 0};
  REQUIRE(*entropy_of(twice, 3) == Approx(expected).epsilon(1e-12));
}

namespace {

// A coin in front of each certain token; one of the two does not count.
std::optional<double> masked_entropy(Counts coins, Counts certain) {
  const TemporaryFolder folder;
  TokenWriter writer(real_file_system(), folder.path() / "f.tok", 1);
  writer.begin_source("s");
  const Rng rng(1, 1);
  for (std::uint64_t i = 0; i < 20000; ++i) {
    writer.append(std::vector<Token>{static_cast<Token>(1 + rng.below(i, 2))}, coins);
    writer.append(std::vector<Token>{0}, certain);
  }
  writer.finish(3, nlohmann::json::object());
  const TokenFile file = TokenFile::open(folder.path() / "f.tok");
  const std::vector<TokenRange> all = {{0, file.size(), 0}};
  return bigram_entropy(FixedSample(file, all, 8, 0), 3);
}

}  // namespace

TEST_CASE("targets that do not count are no pairs") {
  REQUIRE(*masked_entropy(Counts::no, Counts::yes) == 0);
  REQUIRE(*masked_entropy(Counts::yes, Counts::no) == Approx(std::log(2.0)).epsilon(1e-3));
}
