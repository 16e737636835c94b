#include "base/hash.hpp"

#include <fstream>
#include <string>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;

TEST_CASE("a file has the hash of its bytes, whatever its length; what cannot be read is an error") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "file";
  for (const std::size_t length : {0ul, 1ul, (1ul << 20) - 1, 1ul << 20, (1ul << 20) + 1, 3ul << 20}) {
    INFO(length << " bytes");
    std::string bytes(length, '\0');
    for (std::size_t i = 0; i < length; ++i) bytes[i] = static_cast<char>(i * 7 + i / 251);
    std::ofstream(path, std::ios::binary) << bytes;
    REQUIRE(hash_hex_of_file(path) == hash_hex(std::as_bytes(std::span(bytes))));
  }
  REQUIRE_THROWS_AS(hash_hex_of_file(folder.path() / "missing"), IoError);
  REQUIRE_THROWS_AS(hash_hex_of_file(folder.path()), IoError);
}
