#include "data/batcher.hpp"

#include <unistd.h>

#include <map>
#include <numeric>
#include <set>

#include "base/error.hpp"
#include "data/token_files.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::data;

namespace {

// Token i is i: a window shows where it comes from.
TokenFile counting_file(const TemporaryFolder& folder, int count) {
  std::vector<Token> tokens(count);
  std::iota(tokens.begin(), tokens.end(), 0);
  return write_tokens(folder.path() / "f.tok", tokens, 70000);
}

}  // namespace

TEST_CASE("an epoch visits every window once, inside its range, and the next one in another order, shifted") {
  const TemporaryFolder folder;
  const TokenFile file = counting_file(folder, 5000);
  const std::vector<TokenRange> ranges = {{0, 1000, 0}, {1500, 1508, 0}, {2000, 4999, 0}};
  const Batcher batcher(file, ranges, 8, 3);
  REQUIRE(batcher.windows() == 999 / 8 + 0 + 2998 / 8);  // eight tokens hold no window of 8 + 1
  std::vector<std::vector<Token>> orders;
  for (std::uint64_t epoch = 0; epoch < 2; ++epoch) {
    std::map<Token, int> targets_seen;
    std::vector<Token> order;
    const auto shift = static_cast<Token>(batcher.shift_at(epoch * batcher.windows()));
    REQUIRE((shift > 0) == (epoch > 0));  // of this seed
    for (std::uint64_t i = 0; i < batcher.windows(); ++i) {
      std::vector<Token> inputs(8), targets(8);
      batcher.fill(epoch * batcher.windows() + i, inputs, targets);
      order.push_back(inputs[0]);
      for (int t = 0; t < 8; ++t) {
        REQUIRE(inputs[t] == inputs[0] + t);
        REQUIRE(targets[t] == inputs[t] + 1);
        ++targets_seen[targets[t]];
      }
      const Token begin = inputs[0] < 1000 ? 0 : 2000;
      const Token last = inputs[0] < 1000 ? 1000 - 9 : 4999 - 9;
      REQUIRE(inputs[0] >= begin);
      REQUIRE(inputs[0] <= last);
      REQUIRE(((inputs[0] - begin) % 8 == shift || inputs[0] == last));
    }
    // Without a shift every target comes once; with one, the last window of a range ends where the range does.
    const auto twice = std::ranges::count_if(targets_seen, [](const auto& seen) { return seen.second > 1; });
    REQUIRE(targets_seen.size() + static_cast<std::size_t>(twice) == batcher.tokens_per_epoch());
    REQUIRE(twice <= (epoch == 0 ? 0 : 2 * 7));
    REQUIRE(!std::is_sorted(order.begin(), order.end()));
    orders.push_back(order);
  }
  REQUIRE(orders[0] != orders[1]);
  REQUIRE(batcher.epochs(batcher.windows() * 3 / 2) == Approx(1.5).epsilon(0.01));
}

TEST_CASE("the order depends on the seed alone, not on how many windows are taken at once") {
  const TemporaryFolder folder;
  const TokenFile file = counting_file(folder, 3000);
  const std::vector<TokenRange> ranges = {{0, 3000, 0}};
  const Batcher batcher(file, ranges, 16, 1), same(file, ranges, 16, 1), other(file, ranges, 16, 2);
  std::vector<Token> inputs(16 * 100), targets(16 * 100), one(16), one_target(16);
  batcher.fill(150, inputs, targets);  // crosses the end of the first epoch
  int equal = 0;
  for (std::size_t w = 0; w < 100; ++w) {
    same.fill(150 + w, one, one_target);
    REQUIRE(std::equal(one.begin(), one.end(), inputs.begin() + 16 * w));
    REQUIRE(std::equal(one_target.begin(), one_target.end(), targets.begin() + 16 * w));
    equal += batcher.window_at(150 + w) == other.window_at(150 + w);
  }
  REQUIRE(equal < 10);
}

TEST_CASE("the fixed sample is spread over all blocks and sources") {
  const TemporaryFolder folder;
  const TokenFile file = counting_file(folder, 60000);
  std::vector<TokenRange> blocks;
  for (std::uint64_t b = 0; b < 150; ++b) blocks.push_back({b * 400, b * 400 + 330, b / 100});
  const FixedSample whole(file, blocks, 16, 0);
  REQUIRE(whole.windows() == 150 * (329 / 16));
  REQUIRE(whole.blocks() == 150);
  const FixedSample sample(file, blocks, 16, 300 * 16 + 5);
  REQUIRE(sample.windows() == 300);
  REQUIRE(sample.tokens() == 4800);
  REQUIRE(sample.blocks() == 150);
  std::set<std::uint64_t> begins;
  std::uint64_t second_source = 0;
  for (std::uint64_t i = 0; i < sample.windows(); ++i) {
    begins.insert(sample.begin(i));
    second_source += sample.source(i);
    std::vector<Token> inputs(16), targets(16);
    sample.fill(i, inputs, targets);
    REQUIRE(inputs[0] == static_cast<Token>(sample.begin(i)));
    REQUIRE(targets[15] == inputs[0] + 16);
    REQUIRE(inputs[0] % 400 + 16 < 330);
    REQUIRE((sample.begin(i) >= 40000) == (sample.source(i) == 1));
  }
  REQUIRE(begins.size() == 300);
  REQUIRE(second_source == 100);
  REQUIRE(FixedSample(file, blocks, 16, 1).windows() == 1);
  REQUIRE(FixedSample(file, blocks, 16, 1u << 30).windows() == whole.windows());
}

TEST_CASE("a context that fits nowhere and a file that shrinks are errors") {
  const TemporaryFolder folder;
  const TokenFile file = counting_file(folder, 3000);
  const std::vector<TokenRange> ranges = {{0, 64, 0}};
  REQUIRE_THROWS_WITH(Batcher(file, ranges, 64, 0), Catch::Contains("65 tokens"));
  const Batcher batcher(file, ranges, 63, 0);
  std::vector<Token> inputs(63), targets(63);
  REQUIRE_NOTHROW(batcher.fill(0, inputs, targets));
  REQUIRE(::truncate((folder.path() / "f.tok").c_str(), 500) == 0);
  REQUIRE_THROWS_AS(batcher.fill(0, inputs, targets), InputError);
}
