#include "base/file.hpp"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/faulty_file_system.hpp"
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

TEST_CASE("pages that are given back are no memory of the process, and can be read again",
          "[process_memory]") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "f";
  constexpr std::size_t kBytes = std::size_t{8} << 20;
  const std::string text = [] {
    std::string bytes(kBytes, ' ');
    for (std::size_t i = 0; i < kBytes; ++i) bytes[i] = static_cast<char>(i * 31 >> 7);
    return bytes;
  }();
  write_atomically(real_file_system(), path, text);
  const MappedFile file(path);
  const auto same = [&] {
    return std::string_view(reinterpret_cast<const char*>(file.bytes().data()), kBytes) == text;
  };
  // Pages of files alone: what this process allocates besides changes nothing.
  const auto mapped = [] {
    const std::string status = read_text("/proc/self/status");
    return std::stoul(status.substr(status.find("RssFile:") + 8)) * 1024;
  };
  REQUIRE(same());
  const std::size_t with_all = mapped();
  file.give_back(file.bytes());
  CHECK(mapped() + kBytes * 9 / 10 < with_all);
  REQUIRE(same());
  CHECK(mapped() + kBytes / 10 > with_all);
  // Of a part, only pages that lie wholly in it: none here.
  file.give_back(file.bytes().subspan(1, 4096));
  file.give_back(file.bytes().first(0));
  CHECK(mapped() + 4096 > with_all - kBytes / 10);
  REQUIRE(same());
}

TEST_CASE("a write whose k-th call fails leaves the old file, or the whole new one, and nothing beside it") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "f";
  int old = 0;
  for (int k = 0;; ++k) {
    write_atomically(unsynced_file_system(), path, "old");
    FailingFileSystem fs(k);
    bool thrown = false;
    try {
      write_atomically(fs, path, "something new");
    } catch (const IoError&) {
      thrown = true;
    }
    INFO("call " << k);
    const std::string found = read_text(path);
    REQUIRE((found == "something new" || (thrown && found == "old")));
    REQUIRE(list_directory(folder.path()).size() == 1);
    REQUIRE(thrown == fs.failed());
    old += found == "old" ? 1 : 0;
    if (!thrown) break;
  }
  REQUIRE(old == 5);  // create, append, sync, close, rename; behind these the new file is there
}

TEST_CASE("reading behind the end of a file that shrank ends with exit 4 and says why") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "f";
  write_atomically(unsynced_file_system(), path, std::string(100000, 'x'));
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    install_mapping_guard();
    const MappedFile file(path);
    if (::truncate(path.c_str(), 0) != 0) ::_exit(99);
    const volatile std::byte* last = file.bytes().data() + 99999;
    ::_exit(static_cast<int>(*last) == 0 ? 97 : 98);
  }
  ::close(ends[1]);
  std::array<char, 300> message{};
  REQUIRE(::read(ends[0], message.data(), message.size() - 1) > 0);
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 4);
  REQUIRE_THAT(std::string(message.data()), Catch::Contains("became shorter"));
}

TEST_CASE("a file that could not be written is refused before it is made, and nothing is left of the trial") {
  const TemporaryFolder folder;
  const auto refused = [&](const Path& path, const std::string& why) {
    INFO(path);
    CHECK_THROWS_AS(check_writable(real_file_system(), path), IoError);
    CHECK_THROWS_WITH(check_writable(real_file_system(), path),
                      Catch::Contains("'" + path.string() + "'") && Catch::Contains(why));
  };
  const Path file = folder.path() / "file", link = folder.path() / "link";
  check_writable(real_file_system(), file);
  CHECK(list_directory(folder.path()).empty());
  write_atomically(real_file_system(), file, "old");
  std::filesystem::create_symlink(file, link);
  check_writable(real_file_system(), file);
  check_writable(real_file_system(), link);
  check_writable(real_file_system(), "/dev/null");
  refused(folder.path(), "directory");
  refused(folder.path() / "missing" / "file", "No such file");
  refused(file / "below", "Not a directory");
  const Path long_name = folder.path() / std::string(300, 'x');
  CHECK_THROWS_AS(check_writable(real_file_system(), long_name), UsageError);
  CHECK_THROWS_WITH(check_writable(real_file_system(), long_name), Catch::Contains("too long"));
  refused("/proc/file", "");  // also root may not make a file there
  CHECK(read_text(file) == "old");
  CHECK(list_directory(folder.path()).size() == 2);
}

TEST_CASE("a folder whose k-th call fails is there as a whole or not at all, and nothing lies beside it") {
  const TemporaryFolder folder;
  const Path target = folder.path() / "above" / "made";
  for (const bool is_there : {false, true}) {
    int failures = 0;
    for (int k = 0;; ++k, ++failures) {
      INFO("call " << k << ", a folder before: " << is_there);
      std::filesystem::create_directories(is_there ? target : target.parent_path());
      FailingFileSystem fs(k);
      bool thrown = false;
      try {
        write_folder_atomically(fs, target / "", [&](const Path& made) {
          for (const char* name : {"a", "b"}) write_atomically(fs, made / name, name);
        });
      } catch (const IoError&) {
        thrown = true;
      }
      const std::size_t files = list_directory(target).size();
      REQUIRE((files == 2 || (thrown && files == 0)));
      REQUIRE((is_there || files == 2) == path_exists(target));
      REQUIRE(list_directory(folder.path() / "above").size() == std::size_t(path_exists(target)));
      std::filesystem::remove_all(target);
      if (!fs.failed()) break;
    }
    CHECK(failures > 12);
  }
}

TEST_CASE("the files of a model are regular ones of a size that can be") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "f", fifo = folder.path() / "fifo", loop = folder.path() / "loop";
  write_atomically(real_file_system(), file, "text");
  CHECK(read_model_file(file) == "text");
  write_atomically(real_file_system(), file, "");
  CHECK(read_model_file(file).empty());
  CHECK(input_exists(file));
  CHECK_FALSE(input_exists(folder.path() / "absent"));
  REQUIRE(::mkfifo(fifo.c_str(), 0644) == 0);
  std::filesystem::create_symlink(loop, loop);
  for (const Path& path : {fifo, loop, Path("/dev/zero"), folder.path(), folder.path() / "absent"}) {
    INFO(path);
    CHECK_THROWS_AS(read_model_file(path), InputError);
    CHECK_THROWS_WITH(read_model_file(path), Catch::Contains("'" + path.string() + "'"));
  }
  CHECK_THROWS_AS(input_exists(loop), InputError);
  std::filesystem::resize_file(file, (64 << 20) + 1);  // a hole, which takes no room
  CHECK_THROWS_WITH(read_model_file(file), Catch::Contains("has 67108865 bytes, at most 67108864 are read"));
}

TEST_CASE("missing files and folders are named") {
  REQUIRE_THROWS_WITH(read_text("/nonexistent/file"), Catch::Contains("/nonexistent/file"));
  REQUIRE_THROWS_AS(MappedFile("/nonexistent/file"), IoError);
  REQUIRE_THROWS_AS(read_text("/"), IoError);
}

TEST_CASE("what is no folder holds nothing") {
  const TemporaryFolder folder;
  write_atomically(real_file_system(), folder.path() / "f", "text");
  CHECK(list_directory(folder.path() / "absent").empty());
  CHECK(list_directory(folder.path() / "f" / "below").empty());
}

TEST_CASE("a path that cannot be looked for is named, one that is not there is none") {
  REQUIRE(path_exists("/"));
  REQUIRE_FALSE(path_exists("/nonexistent/file"));
  REQUIRE_FALSE(path_exists("/dev/null/file"));
  const std::string too_long(300, 'x');
  REQUIRE_THROWS_AS(path_exists("/" + too_long), IoError);
  REQUIRE_THROWS_WITH(path_exists("/" + too_long), Catch::Contains(too_long) && Catch::Contains("too long"));
}

TEST_CASE("an input that cannot be read is the input's fault, and named") {
  for (const char* path : {"/nonexistent/file", "/"}) {
    REQUIRE_THROWS_AS(read_input(path), InputError);
    REQUIRE_THROWS_AS(map_input(path), InputError);
    REQUIRE_THROWS_WITH(map_input(path), Catch::Contains(path));
  }
}

TEST_CASE("a read error in the middle of a file is no end of it") {
  REQUIRE(read_text("/proc/self/status").size() > 100);  // its size is 0 until it is read
  REQUIRE_THROWS_WITH(read_text("/proc/self/mem"), Catch::Contains("/proc/self/mem"));  // page 0: EIO
}
