// Counter-based random numbers: a value depends on (seed, stream, index) and on nothing else, so any thread
// can make any number in any order and a resumed run sees the same ones.
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), Philox4x32-10.
#pragma once
#include <array>
#include <cstdint>

namespace loglog {

// One application of Philox4x32-10: 128 random bits from a 128-bit counter and a 64-bit key.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) noexcept;

// A random sequence addressed by index. Copying it is cheap and changes nothing.
class Rng {
 public:
  // Two sequences with different (seed, stream) are independent.
  constexpr Rng(std::uint64_t seed, std::uint64_t stream) noexcept : seed_(seed), stream_(stream) {}

  std::uint64_t bits(std::uint64_t index) const noexcept;  // 64 uniform bits
  double uniform(std::uint64_t index) const noexcept;      // [0, 1), multiples of 2^-53
  double normal(std::uint64_t index) const noexcept;       // mean 0, sd 1 (Box-Muller, cosine branch)
  std::uint64_t below(std::uint64_t index,
                      std::uint64_t n) const noexcept;  // [0, n), n > 0; bias below 2^-64 * n

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
};

// A pseudo-random permutation of 0..n-1 that needs no memory: a four-round Feistel network on the smallest
// even number of bits that covers n, walked until it lands inside (at most 4 steps on average).
class Permutation {
 public:
  Permutation(std::uint64_t n, std::uint64_t seed, std::uint64_t stream) noexcept;
  std::uint64_t operator()(std::uint64_t i) const noexcept;  // i < n
  std::uint64_t size() const noexcept { return n_; }

 private:
  std::uint64_t n_;
  std::uint64_t seed_;
  std::uint64_t stream_;
  int half_bits_;
};

}  // namespace loglog
