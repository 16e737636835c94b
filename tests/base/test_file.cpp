#include "base/file.hpp"

#include <unistd.h>

#include <fstream>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;

TEST_CASE("write_atomically replaces a file and leaves nothing beside it") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "a file with spaces";
  write_atomically(real_file_system(), path, "old");
  write_atomically(real_file_system(), path, "new");
  REQUIRE(read_text(path) == "new");
  REQUIRE(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("a failing writer leaves the old file and removes the temporary one") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "f";
  write_atomically(real_file_system(), path, "old");
  REQUIRE_THROWS_AS(write_atomically(real_file_system(), path,
                                     [](WritableFile& file) {
                                       file.append(std::as_bytes(std::span("half")));
                                       throw IoError("cannot write", "f", ENOSPC);
                                     }),
                    IoError);
  REQUIRE(read_text(path) == "old");
  REQUIRE(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("a mapped file notices that it shrank") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "f";
  write_atomically(real_file_system(), path, std::string(10000, 'x'));
  const MappedFile file(path);
  REQUIRE(file.bytes().size() == 10000);
  REQUIRE_NOTHROW(file.check_size());
  REQUIRE(::truncate(path.c_str(), 100) == 0);
  REQUIRE_THROWS_AS(file.check_size(), InputError);
}

TEST_CASE("missing files and folders are named") {
  REQUIRE_THROWS_WITH(read_text("/nonexistent/file"), Catch::Contains("/nonexistent/file"));
  REQUIRE_THROWS_AS(MappedFile("/nonexistent/file"), IoError);
  REQUIRE_THROWS_AS(read_text("/"), IoError);
}
