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

namespace {

// Sources of 300, 900 and 60 tokens; token i is i.
TokenFile three_sources(const TemporaryFolder& folder) {
  TokenWriter writer(real_file_system(), folder.path() / "m.tok", 4);
  Token next = 0;
  for (const auto& [name, size] : {std::pair{"a", 300}, {"b", 900}, {"c", 60}}) {
    writer.begin_source(name);
    std::vector<Token> tokens(static_cast<std::size_t>(size));
    std::iota(tokens.begin(), tokens.end(), next);
    next += size;
    writer.append(tokens);
  }
  writer.finish(70000, nlohmann::json::object());
  return TokenFile::open(folder.path() / "m.tok");
}

const std::vector<TokenRange> kThreeRanges = {{0, 300, 0}, {300, 700, 1}, {710, 1200, 1}, {1200, 1260, 2}};

}  // namespace

TEST_CASE("a mixture draws each source in its own epochs, and counts what it drew") {
  const TemporaryFolder folder;
  const TokenFile file = three_sources(folder);
  const Batcher batcher(file, kThreeRanges, 8, 5, "a=0.5,c=0.5"), plain(file, kThreeRanges, 8, 5);
  const std::uint64_t of_a = 299 / 8, of_c = 59 / 8;
  REQUIRE(batcher.windows() == of_a + of_c);
  std::vector<Token> inputs(8), targets(8);
  std::map<std::size_t, std::map<Token, int>> begins;  // by source
  std::vector<std::uint64_t> drawn(3), plain_drawn(3), counted(3), plain_counted(3);
  const std::uint64_t count = 2 * of_a;  // one epoch of a; c is seen more than five times
  for (std::uint64_t i = 0; i < count; ++i) {
    batcher.fill(i, inputs, targets);
    const std::size_t source = batcher.source_at(i);
    REQUIRE(source == (inputs[0] < 300 ? 0u : 2u));
    REQUIRE((source == 0 || inputs[0] >= 1200));
    ++begins[source][inputs[0]];
    ++drawn[source];
    ++plain_drawn[plain.source_at(i)];
    if (i % 7 == 6) continue;  // counts two at a time, too
    const std::uint64_t n = i % 7 == 5 && i + 1 < count ? 2 : 1;
    batcher.count_sources(i, n, counted);
    plain.count_sources(i, n, plain_counted);
  }
  REQUIRE(counted == drawn);
  REQUIRE(plain_counted == plain_drawn);
  REQUIRE(begins[0].size() == of_a);  // each once
  const auto exposure = batcher.exposure(drawn);
  REQUIRE(exposure[0].epochs == 1.0);
  REQUIRE(exposure[1].windows == 0);
  REQUIRE(exposure[2].epochs == Approx(static_cast<double>(of_a) / of_c));
  REQUIRE(begins[2].size() > of_c);  // later epochs are shifted
  std::vector<std::uint64_t> thrice(3), in_parts(3);
  plain.count_sources(0, 3 * plain.windows(), thrice);
  REQUIRE(plain.exposure(thrice)[1].epochs == 3.0);
  REQUIRE(plain.exposure(thrice)[1].windows == 3 * (399 / 8 + 489 / 8));
  plain.count_sources(0, 5, in_parts);  // the middle one of three epochs is whole
  plain.count_sources(5, 3 * plain.windows() - 5, in_parts);
  REQUIRE(in_parts == thrice);
  REQUIRE_THROWS_AS(Batcher(file, kThreeRanges, 64, 5, "a=1,c=1"), InputError);  // c holds no window of 65
  REQUIRE_THROWS_AS(Batcher(file, kThreeRanges, 8, 5, "d=1"), UsageError);
}

TEST_CASE("a mixture resumes by number, and sources do not share their orders") {
  const TemporaryFolder folder;
  const TokenFile file = three_sources(folder);
  const std::vector<TokenRange> same = {{0, 300, 0}, {300, 600, 1}};
  const Batcher batcher(file, same, 8, 5, "a=1,b=1"), other(file, same, 8, 6, "a=1,b=1");
  std::vector<Token> inputs(8 * 60), targets(8 * 60), one(8), one_target(8);
  batcher.fill(40, inputs, targets);
  int like_the_other_seed = 0;
  std::vector<std::uint64_t> a, b;
  for (std::uint64_t i = 0; i < 60; ++i) {
    Batcher(file, same, 8, 5, "a=1,b=1").fill(40 + i, one, one_target);
    REQUIRE(std::equal(one.begin(), one.end(), inputs.begin() + 8 * static_cast<std::ptrdiff_t>(i)));
    like_the_other_seed += batcher.window_at(i) == other.window_at(i);
    (batcher.source_at(i) == 0 ? a : b).push_back(batcher.window_at(i));
  }
  REQUIRE(like_the_other_seed < 10);
  REQUIRE(a.size() == b.size());
  REQUIRE(a != b);
}

TEST_CASE("kept apart, documents have no target behind their end; a mask takes others away") {
  const TemporaryFolder folder;
  TokenWriter writer(real_file_system(), folder.path() / "d.tok", 1);
  writer.begin_source("only");
  for (int i = 0; i < 50; ++i) {
    writer.append(std::vector<Token>{1, 2}, Counts::no);
    writer.append(std::vector<Token>{3, 4, 0});
  }
  writer.finish(5, {{"document_end", 0}});
  const TokenFile file = TokenFile::open(folder.path() / "d.tok");
  const std::vector<TokenRange> ranges = {{0, 250, 0}};
  std::vector<Token> inputs(10), targets(10);
  const Batcher together(file, ranges, 10, 1);
  const Batcher apart(file, ranges, 10, 1, "", Documents::apart);
  for (std::uint64_t i = 0; i < 2 * apart.windows(); ++i) {
    apart.fill(i, inputs, targets);
    std::uint64_t counted = 0;
    for (std::size_t t = 0; t < 10; ++t) {
      const Token next = (inputs[t] + 1) % 5;
      const bool counts = next != 1 && next != 2;  // 1 also follows the end of a document
      REQUIRE(targets[t] == (counts ? next : kIgnoredTarget));
      counted += counts;
    }
    REQUIRE(apart.counted(i, 1) == counted);
  }
  REQUIRE(apart.counted(0, 7) == 7 * 6);
  REQUIRE(together.counted(0, 7) == 7 * 6);  // here the mask alone says the same
  const FixedSample sample(file, ranges, 10, 0, Documents::apart);
  sample.fill(0, inputs, targets);
  REQUIRE(std::ranges::count(targets, kIgnoredTarget) == 4);
  REQUIRE_THROWS_WITH(FixedSample(file, std::vector<TokenRange>{{0, 2, 0}}, 1, 0),
                      Catch::Contains("none counts"));
  const TokenFile plain = counting_file(folder, 100);
  REQUIRE_THROWS_AS(Batcher(plain, std::vector<TokenRange>{{0, 100, 0}}, 8, 1, "", Documents::apart),
                    UsageError);
  REQUIRE(documents_rule("mask") == Documents::apart);
  REQUIRE_THROWS_AS(documents_rule("msk"), UsageError);
}

TEST_CASE("what the tokens of a prefix see of each other is no target") {
  const TemporaryFolder folder;
  TokenWriter writer(real_file_system(), folder.path() / "d.tok", 1);
  writer.begin_source("only");
  for (int i = 0; i < 50; ++i) writer.append(std::vector<Token>{1, 2, 3, 4, 5, 6, 0});
  writer.finish(7, {{"document_end", 0}});
  const TokenFile file = TokenFile::open(folder.path() / "d.tok");
  const std::vector<TokenRange> ranges = {{0, 350, 0}};
  std::vector<Token> inputs(14), targets(14);
  const auto counts = [&](std::int64_t prefix, Documents documents) {
    const Batcher batcher(file, ranges, 14, 1, "", documents, prefix);
    batcher.fill(0, inputs, targets);
    std::string marks;
    for (std::size_t t = 0; t < 14; ++t) {
      REQUIRE((targets[t] == kIgnoredTarget || targets[t] == (inputs[t] + 1) % 7));
      marks += targets[t] == kIgnoredTarget ? '.' : '1';
    }
    REQUIRE(batcher.counted(0, 1) == static_cast<std::uint64_t>(std::ranges::count(marks, '1')));
    const FixedSample sample(file, ranges, 14, 0, documents, prefix);
    sample.fill(0, inputs, targets);
    REQUIRE(std::ranges::count(marks, '.') == std::ranges::count(targets, kIgnoredTarget));
    return marks;
  };
  // Target t is token t + 1: the last token of the prefix predicts what lies behind it.
  REQUIRE(counts(0, Documents::together) == "11111111111111");
  REQUIRE(counts(1, Documents::together) == "11111111111111");
  REQUIRE(counts(4, Documents::together) == "...11111111111");
  REQUIRE(counts(13, Documents::together) == "............11");
  REQUIRE(counts(14, Documents::together) == ".............1");  // behind the window: nobody sees it
  REQUIRE(counts(4, Documents::apart) ==
          "...111....111.");  // each document has a prefix, and its end no target
}

TEST_CASE("a long window is counted as it is read") {
  const TemporaryFolder folder;
  TokenWriter writer(real_file_system(), folder.path() / "d.tok", 1);
  writer.begin_source("only");
  const Rng draw(3, 1);
  for (std::uint64_t i = 0; i < 3000; ++i) {
    const auto token = static_cast<Token>(draw.below(i, 12));
    writer.append({&token, 1}, draw.below(i + 5000, 3) == 0 ? Counts::no : Counts::yes);
  }
  writer.finish(12, {{"document_end", 0}});
  const TokenFile file = TokenFile::open(folder.path() / "d.tok");
  const std::vector<TokenRange> ranges = {{0, 3000, 0}};
  const std::int64_t context = GENERATE(255, 256, 257, 700);
  const Batcher batcher(file, ranges, context, 1, "", Documents::apart, 5);
  std::vector<Token> inputs(static_cast<std::size_t>(context)), targets(inputs.size());
  for (std::uint64_t i = 0; i < 2 * batcher.windows(); ++i) {
    batcher.fill(i, inputs, targets);
    const auto ignored = std::ranges::count(targets, kIgnoredTarget);
    REQUIRE(ignored > context / 3);
    REQUIRE(batcher.counted(i, 1) == static_cast<std::uint64_t>(context - ignored));
  }
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
