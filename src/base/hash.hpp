// Checksums and identities: 128-bit xxh3, as 32 hexadecimal digits. Not cryptographic.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace loglog {

std::string hash_hex(std::span<const std::byte> bytes);

// The same over bytes that come piece by piece.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  void update(std::span<const std::byte> bytes);
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace loglog
