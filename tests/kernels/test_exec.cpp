// Scratch: pieces end before it does, whatever is asked for.
#include "kernels/exec.hpp"

#include <cstdint>
#include <limits>

#include "base/check.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::kernels;

namespace {

constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();

}  // namespace

TEST_CASE("pieces are whole cache lines side by side, and come back with their frame") {
  Scratch scratch(200);
  REQUIRE(scratch.capacity() == 256);
  for (int repetition = 0; repetition < 2; ++repetition) {
    ScratchFrame frame(scratch);
    std::byte* const first = frame.take<std::byte>(1);
    REQUIRE(reinterpret_cast<std::uintptr_t>(first) % kCacheLineBytes == 0);
    REQUIRE(frame.take<std::byte>(65) == first + 64);
    REQUIRE_THROWS_AS(frame.take<float>(17), ContractError);
    REQUIRE(frame.take<float>(16) == reinterpret_cast<float*>(first + 192));
    REQUIRE_THROWS_AS(frame.take<std::byte>(1), ContractError);
    REQUIRE_NOTHROW(frame.take<double>(0));
    REQUIRE_THROWS_AS(scratch.reserve(1), ContractError);  // in use
  }
}

TEST_CASE("no number of elements is too large to be refused") {
  Scratch scratch(256);
  ScratchFrame frame(scratch);
  for (int used = 0; used <= 256; used += 128) {
    CAPTURE(used);
    // The bytes of all but the last two, or where they end, are a small number modulo 2^64.
    for (const std::size_t count : {kMost / 4 + 1, kMost / 4 + 2, kMost / 2 + 1, kMost, kMost / 4, kMost / 8})
      REQUIRE_THROWS_AS(frame.take<float>(count), ContractError);
    for (const std::size_t below : {0, 62, 63, 64, 70, 127, 128, 255}) {
      CAPTURE(below);
      REQUIRE_THROWS_AS(frame.take<char>(kMost - below), ContractError);
    }
    if (used < 256) frame.take<char>(128);
  }
}

TEST_CASE("a scratch of more bytes than there can be is refused") {
  for (const std::size_t below : {std::size_t{0}, std::size_t{62}, std::size_t{63}, kMost / 2 - 1})
    REQUIRE_THROWS_AS(Scratch(kMost - below), ContractError);
  Scratch scratch(64);
  REQUIRE_THROWS_AS(scratch.reserve(kMost), ContractError);
  REQUIRE(scratch.capacity() == 64);
}
