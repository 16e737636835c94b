#include "data/split.hpp"

#include <fmt/format.h>

#include <set>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "data/token_files.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::data;

namespace {

std::string numbered_lines(int count, int salt) {
  std::string text;
  for (int i = 0; i < count; ++i) text += fmt::format("line {} of {}: {}\n", i, salt, Rng(1, salt).bits(i));
  return text;
}

std::vector<int> coverage(const TokenFile& file, const SplitRanges& split) {
  std::vector<int> sides(file.size(), 0);
  for (const TokenRange& range : split.train) {
    for (auto i = range.begin; i < range.end; ++i) sides[i] += 1;
  }
  for (const TokenRange& range : split.validation) {
    for (auto i = range.begin; i < range.end; ++i) sides[i] += 100;
  }
  return sides;
}

std::string text_of(const TokenFile& file, const TokenRange& range) {
  const auto bytes = file.bytes(range.begin, range.end);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST_CASE("each token is on exactly one side and ranges stay inside their source") {
  const TemporaryFolder folder;
  const TokenFile file =
      write_bytes(folder.path() / "f.tok", {{"a", numbered_lines(9000, 1)}, {"b", numbered_lines(700, 2)}});
  for (const char* kind : {"hashed", "position"}) {
    const SplitRanges split = make_split(file, kind, 0.1);
    for (const int side : coverage(file, split)) REQUIRE((side == 1 || side == 100));
    for (const auto* part : {&split.train, &split.validation}) {
      for (const TokenRange& range : *part) {
        REQUIRE(range.begin >= file.sources()[range.source].begin);
        REQUIRE(range.end <= file.sources()[range.source].end);
      }
    }
    REQUIRE(split.validation_share == Approx(0.1).margin(0.005));
  }
}

TEST_CASE("hashed blocks are many, spread over the file, and end at line ends") {
  const TemporaryFolder folder;
  const TokenFile file = write_bytes(folder.path() / "f.tok", {{"a", numbered_lines(40000, 1)}});
  const SplitRanges split = make_split(file, "hashed", 0.05);
  REQUIRE(split.validation.size() >= 50);
  REQUIRE(split.validation.front().begin < file.size() / 8);
  REQUIRE(split.validation.back().end > file.size() - file.size() / 8);
  for (const TokenRange& range : split.validation) REQUIRE(file.token(range.end - 1) == '\n');
}

TEST_CASE("equal blocks fall on one side, also in another source") {
  const TemporaryFolder folder;
  const std::string text = numbered_lines(5000, 1);
  const TokenFile file = write_bytes(folder.path() / "f.tok", {{"a", text}, {"copy", text}});
  const SplitRanges split = make_split(file, "hashed", 0.1);
  const std::uint64_t half = file.size() / 2;
  const auto sides = coverage(file, split);
  for (std::uint64_t i = 0; i < half; ++i) REQUIRE(sides[i] == sides[i + half]);
  std::set<std::string> validation;
  for (const TokenRange& range : split.validation) validation.insert(text_of(file, range));
  REQUIRE(validation.size() * 2 == split.validation.size());
  std::string train;
  for (const TokenRange& range : split.train) train += text_of(file, range);
  for (const std::string& block : validation) REQUIRE(train.find(block) == std::string::npos);
}

TEST_CASE("the split of the published Shakespeare run is by position") {
  const TemporaryFolder folder;
  const TokenFile file = write_bytes(folder.path() / "f.tok", {{"a", std::string(1115394, 'x')}});
  const SplitRanges split = make_split(file, "position", 0.1);
  REQUIRE(split.train.size() == 1);
  REQUIRE(split.train[0].end == 1003854);
  REQUIRE(split.validation[0].begin == 1003854);
}

TEST_CASE("small files still split, hopeless ones say so") {
  const TemporaryFolder folder;
  for (const int lines : {10, 40, 200}) {
    const TokenFile file = write_bytes(folder.path() / "f.tok", {{"a", numbered_lines(lines, 3)}});
    REQUIRE(make_split(file, "hashed", 0.2).validation_share == Approx(0.2).margin(0.08));
  }
  const TokenFile same = write_bytes(folder.path() / "f.tok", {{"a", std::string(100000, 'x')}});
  REQUIRE_THROWS_AS(make_split(same, "hashed", 0.1), InputError);  // every block is the same text
  REQUIRE_THROWS_AS(make_split(same, "hashed", 0.0), UsageError);
  REQUIRE_THROWS_AS(make_split(same, "hashed", 1.0), UsageError);
  REQUIRE_THROWS_WITH(make_split(same, "hash", 0.1), Catch::Contains("hashed"));
}
