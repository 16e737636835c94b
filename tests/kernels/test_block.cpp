// Blocks of memory: where they begin, that all of them can be used, and that they move.
#include "kernels/block.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <new>
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

TEST_CASE(
    "a block of zeros is zero to its last byte, begins where every block does, and costs what is used of "
    "it") {
  constexpr std::size_t kHugePage = 2 << 20;
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1000}, 2 * kHugePage, 5 * kHugePage + 1}) {
    Block dirty(bytes);  // what the next one may be given
    std::memset(dirty.as<std::byte>(), 7, bytes);
    dirty = Block();
    const Block block = Block::of_zeros(bytes);
    CAPTURE(bytes);
    REQUIRE(address(block) % (bytes >= 2 * kHugePage ? kHugePage : kCacheLineBytes) == 0);
    const auto* const first = block.as<unsigned char>();
    REQUIRE(std::all_of(first, first + bytes, [](unsigned char x) { return x == 0; }));
    if (bytes > 0) block.as<char>()[bytes - 1] = 7;
  }
  REQUIRE_THROWS_AS(Block::of_zeros(SIZE_MAX - 100), std::bad_alloc);
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)  // which has memory of its own for every byte
std::size_t resident_pages() {
  std::size_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident;
}

TEST_CASE("of a large block of zeros only what is used takes memory") {
  const std::size_t before = resident_pages();
  const Block block = Block::of_zeros(std::size_t{256} << 20);
  block.as<char>()[std::size_t{128} << 20] = 7;
  REQUIRE(resident_pages() - before < (std::size_t{16} << 20) / 4096);
  std::memset(block.as<char>(), 7, std::size_t{256} << 20);
  REQUIRE(resident_pages() - before > (std::size_t{128} << 20) / 4096);  // the measure sees what is used
}

TEST_CASE("a little in many places of a block of zeros takes little memory on usual pages") {
  constexpr std::size_t kBytes = std::size_t{256} << 20, kHugePage = 2 << 20;
  const std::size_t before = resident_pages();
  const Block block = Block::of_zeros(kBytes, PageSize::usual);
  for (std::size_t i = 0; i < kBytes; i += kHugePage) block.as<char>()[i] = 7;
  REQUIRE(resident_pages() - before < (std::size_t{16} << 20) / 4096);
}
#endif

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
