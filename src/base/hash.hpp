// Checksums and identities: 128-bit xxh3, as 32 hexadecimal digits. Not cryptographic.
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace loglog {

std::string hash_hex(std::span<const std::byte> bytes);

// The same of a file, read in pieces: a file that is mapped as a whole counts as memory of the process. IoError when it
// cannot be read.
std::string hash_hex_of_file(const std::filesystem::path& path);

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
