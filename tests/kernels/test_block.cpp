// Blocks of memory: where they begin, that all of them can be used, and that they move.
#include "kernels/block.hpp"

#include <cstdint>
#include <cstring>
#include <utility>

#include "support/catch.hpp"

using namespace loglog::kernels;

namespace {

std::uintptr_t address(const Block& block) {
  return reinterpret_cast<std::uintptr_t>(block.as<std::byte>());
}

}  // namespace

TEST_CASE("every block begins at a cache line, a large one at a huge page, and is there to its last byte") {
  constexpr std::size_t kHugePage = 2 << 20;
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{1000}, 2 * kHugePage - 1,
                                  2 * kHugePage, 2 * kHugePage + 1, 5 * kHugePage / 2}) {
    const Block block(bytes);
    CAPTURE(bytes);
    REQUIRE(block.as<std::byte>() != nullptr);
    REQUIRE(address(block) % (bytes >= 2 * kHugePage ? kHugePage : kCacheLineBytes) == 0);
    std::memset(block.as<std::byte>(), 7, bytes);
    if (bytes > 0) REQUIRE(block.as<char>()[bytes - 1] == 7);
  }
}

TEST_CASE("a block moves") {
  REQUIRE(Block().as<int>() == nullptr);
  Block first(8 << 20), second(64);
  const std::uintptr_t large = address(first);
  second = std::move(first);  // each is given back as it was asked for
  REQUIRE(address(second) == large);
  first = Block(64);
  std::swap(first, second);
  REQUIRE(address(first) == large);
}
