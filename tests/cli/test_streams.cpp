// What happens to a command whose terminal, reader or disk goes away.
#include <sys/stat.h>

#include <string>

#include "support/catch.hpp"
#include "support/program.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Matchers::Contains;

namespace {

// The exit code of a line of shell in which $P is the program.
int shell(const std::string& line) {
  const int status = std::system(("P=" LOGLOG_PROGRAM "; " + line).c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string text_file(const Path& folder) {
  const Path path = folder / "text.txt";
  write_atomically(real_file_system(), path, std::string(20000, 'a') + "\xff" + std::string(20000, 'b'));
  return path.string();
}

}  // namespace

TEST_CASE("a standard error that takes nothing changes no exit code") {
  const TemporaryFolder folder;
  const std::string missing = "$P data import " + (folder.path() / "absent.txt").string() + " -o x.tok ";
  REQUIRE(shell(missing + "2>/dev/null") == 4);
  REQUIRE(shell(missing + "2>/dev/full") == 4);
  REQUIRE(shell(missing + "2>&-") == 4);
}

TEST_CASE("no message lands in a file that took the number of a closed stream") {
  const TemporaryFolder folder;
  const std::string import = "$P data import " + text_file(folder.path()) +
                             " --tokenizer chars --invalid-utf8 replace -o " + folder.path().string();
  REQUIRE(shell(import + "/open.tok >/dev/null 2>/dev/null") == 0);
  REQUIRE(shell(import + "/open.tok >&- 2>&- <&-") == 1);  // the file is whole, its description is lost
  REQUIRE(shell("$P data info " + (folder.path() / "open.tok").string() + " >/dev/null") == 0);
}

TEST_CASE("results that did not reach standard output are a failure, a reader that has seen enough is none") {
  REQUIRE(shell("$P fit list >/dev/null") == 0);
  REQUIRE(shell("$P fit list >/dev/full 2>/dev/null") == 1);
  REQUIRE(shell("$P --help >/dev/full 2>/dev/null") == 1);
  REQUIRE(shell("$P fit list >&- 2>/dev/null") == 1);
  REQUIRE(shell("$P --help >&- 2>/dev/null") == 1);
  // The program's own code, written by the left side of the pipe after its reader has gone.
  const TemporaryFolder folder;
  const std::string code = (folder.path() / "code").string();
  REQUIRE(shell("{ sleep 0.2; $P fit list; echo $? >" + code + "; } | : ; cat " + code + " | grep -qx 0") ==
          0);
}

TEST_CASE("an output may be a pipe or a link, and neither is replaced by a file") {
  const TemporaryFolder folder;
  const Path csv = folder.path() / "runs.csv";
  write_atomically(real_file_system(), csv, "N,loss\n1e3,4\n1e4,3\n1e5,2.5\n1e6,2.2\n1e7,2\n1e8,1.9\n");
  const std::string fit = "$P fit --law power-N --bootstrap 0 --input " + csv.string() + " >/dev/null -o ";
  const Path pipe = folder.path() / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  REQUIRE(shell("timeout 20 grep -q objective " + pipe.string() + " & " + fit + pipe.string() +
                " && wait $!") == 0);
  REQUIRE(std::filesystem::is_fifo(pipe));
  const Path real = folder.path() / "real.json";
  const Path link = folder.path() / "link.json";
  write_atomically(real_file_system(), real, "old");
  std::filesystem::create_symlink(real, link);
  REQUIRE(shell(fit + link.string()) == 0);
  REQUIRE(std::filesystem::is_symlink(link));
  REQUIRE_THAT(read_text(real), Contains("objective"));
}

TEST_CASE("a token file that is stopped on the way is no file, and nothing is left beside it") {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "long.tok").string();
  const auto stopped = [&](const std::string& command) {
    return shell(command + " -o " + path + " 2>/dev/null & sleep 0.3; kill -TERM $!; wait $!");
  };
  CHECK(stopped("$P data synth --world markov --tokens 1000000000") == 75);
  CHECK(list_directory(folder.path()).empty());
  const std::string text = (folder.path() / "long.txt").string();
  CHECK(shell("truncate -s 2G " + text) == 0);  // a hole: it takes no room
  CHECK(stopped("$P data import " + text) == 75);
  CHECK(list_directory(folder.path()).size() == 1);
}

TEST_CASE("a pipe is refused as an input file and as a token file, also when nobody holds its other end") {
  const TemporaryFolder folder;
  const std::string out = (folder.path() / "x.tok").string();
  const std::string pipe = (folder.path() / "pipe").string();
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const std::string config = (folder.path() / "c.toml").string();
  write_atomically(real_file_system(), config, "[data]\npath = \"" + pipe + "\"\n");
  const std::string text = text_file(folder.path());
  for (const auto& [line, expected] : {std::pair("data import " + pipe + " -o " + out, 4),
                                       {"data info " + pipe, 4},
                                       {"train --config " + config + " --out " + out, 4},
                                       {"data import " + text + " -o " + pipe, 2},
                                       {"data synth --world markov --tokens 3000 -o " + pipe, 2}}) {
    INFO(line);
    const std::string command = "timeout -s KILL 20 $P " + line + " 2>" + out + ".err";
    CHECK(shell(command) == expected);
    CHECK_THAT(read_text(out + ".err"), Contains("'" + pipe + "' is a pipe or a device"));
  }
  for (const std::string& left : {pipe, config, text, out + ".err"}) std::filesystem::remove(left);
  CHECK(shell("echo text | $P data import --source pipe=/dev/stdin -o " + out +
              " 2>&1 | grep -q 'pipe or a device'") == 0);
  CHECK(list_directory(folder.path()).empty());
}
