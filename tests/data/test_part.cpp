// A part of a text: so many tokens from everywhere in it, and validation text that stays the same.
#include "data/part.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "data/split.hpp"
#include "data/token_files.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::data;
using Catch::Contains;

namespace {

// Lines with numbers, so that one sees where a piece comes from.
struct Text : TemporaryFolder {
  TokenFile file = [this] {
    std::string text;
    for (int i = 0; i < 40'000; ++i) text += fmt::format("{:07}\n", i);
    return write_bytes(path() / "text.tok", {{"text", text}});
  }();
  TokenFile part(std::uint64_t train, std::uint64_t validation, const std::string& name = "part.tok") const {
    return write_part(real_file_system(), file, {train, validation}, 0.1, path() / name, {"made", "so"});
  }
};

std::string words(const TokenFile& file, std::uint64_t begin, std::uint64_t end) {
  const auto bytes = file.bytes(begin, end);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST_CASE("a part splits by position into what was asked for") {
  const Text text;
  for (const std::uint64_t train : {3000ul, 10'000ul, 100'000ul}) {
    const TokenFile part = text.part(train, 8000);
    CHECK(part.size() == train + 8000);
    const SplitRanges split = make_split(part, "position", PartSize{train, 8000}.validation_share());
    REQUIRE(split.train.size() == 1);
    CHECK(std::llabs(static_cast<long long>(split.train[0].size()) - static_cast<long long>(train)) <= 1);
    CHECK(part.meta().at("command") == std::vector<std::string>{"made", "so"});
    CHECK(part.vocab_size() == text.file.vocab_size());
    CHECK(part.bytes_per_token() == Approx(text.file.bytes_per_token()));
  }
}

TEST_CASE("validation text is the same in every part, and none of it is trained on") {
  const Text text;
  const TokenFile small = text.part(10'000, 8000, "a.tok"), large = text.part(200'000, 8000, "b.tok");
  const std::string validation = words(small, 10'000, 18'000);
  CHECK(validation == words(large, 200'000, 208'000));
  const std::string trained = words(large, 0, 200'000);
  for (std::size_t at = validation.find('\n') + 1; at + 9 < validation.size(); at += 8 * 97)
    CHECK(trained.find(validation.substr(at - 1, 9)) == std::string::npos);
}

TEST_CASE("a part says of which text it is and how long") {
  const Text text;
  const TokenFile part = text.part(10'000, 8000);
  CHECK(is_part_of(part, text.file, {10'000, 8000}));
  CHECK_FALSE(is_part_of(part, text.file, {10'000, 8001}));
  CHECK_FALSE(is_part_of(part, part, {10'000, 8000}));
  CHECK_FALSE(is_part_of(text.file, text.file, {10'000, 8000}));
}

TEST_CASE("pieces come from everywhere") {
  const Text text;
  const std::string trained = words(text.part(5 * kPieceTokens, 4000), 0, 5 * kPieceTokens);
  std::vector<int> first;
  for (std::size_t i = 0; i < 5; ++i) {
    const std::string piece = trained.substr(i * kPieceTokens, kPieceTokens);
    first.push_back(std::stoi(piece.substr(piece.find('\n') + 1, 7)));
  }
  for (std::size_t i = 0; i < 5; ++i) CHECK(first[i] == Approx(40'000 * i / 5.0).margin(4000));
}

TEST_CASE("more than there is, is refused with both numbers") {
  const Text text;
  CHECK_THROWS_AS(text.part(10'000'000, 100), InputError);
  CHECK_THROWS_WITH(text.part(10'000'000, 100), Contains("to train on, 10000000 are needed"));
  CHECK_THROWS_WITH(text.part(1000, 1'000'000), Contains("to validate on, 1000000 are needed"));
}
