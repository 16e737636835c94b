// A stop while something is written: what was begun goes away, what was there stays.
#include "base/stoppable_file_system.hpp"

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/faulty_file_system.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using Catch::Contains;

TEST_CASE("whenever a stop is asked for, a folder is there as a whole or not at all") {
  const TemporaryFolder folder;
  const Path target = folder.path() / "model";
  int stopped = 0;
  for (int after = 0;; ++after) {
    int asked = 0;
    StoppableFileSystem fs(unsynced_file_system(), target, [&] { return asked++ >= after; });
    try {
      write_folder_atomically(fs, target, [&](const Path& made) {
        write_atomically(fs, made / "a", "one");
        write_atomically(fs, made / "b", "two");
        fs.open_append(made / "b")->append(std::as_bytes(std::span("!", 1)));
      });
      break;
    } catch (const Error& error) {
      ++stopped;
      CHECK(error.exit_code == Exit::checkpointed);
      CHECK_THAT(error.what(), Contains("'" + target.native() + "'"));
      REQUIRE(list_directory(folder.path()).empty());
    }
  }
  CHECK(stopped == 6);  // two calls make a file
  CHECK(read_text(target / "a") == "one");
  CHECK(read_text(target / "b") == "two!");
}

TEST_CASE("without a stop everything is as in the file system below") {
  const TemporaryFolder folder;
  StoppableFileSystem fs(unsynced_file_system(), folder.path() / "f", [] { return false; });
  fs.create_directories(folder.path() / "x" / "y");
  write_atomically(fs, folder.path() / "x" / "y" / "f", "text");
  fs.rename(folder.path() / "x" / "y" / "f", folder.path() / "g");
  CHECK(read_text(folder.path() / "g") == "text");
  fs.remove(folder.path() / "g");
  fs.remove_all(folder.path() / "x");
  fs.sync_directory(folder.path());
  CHECK(list_directory(folder.path()).empty());
}
