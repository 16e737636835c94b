// What `ulimit -v` leaves, in a child that sets the limit; and a file that then finds no room.
#include "base/address_space.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "base/error.hpp"
#include "base/file.hpp"
#include "support/catch.hpp"
#include "support/skip.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

// Whether a limit set is a limit told: emulators of user programs keep the host's.
bool limits_can_be_set() {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlim_t asked = std::numeric_limits<rlim_t>::max() / 4;
    rlimit limit{asked, asked};
    ::setrlimit(RLIMIT_AS, &limit);
    ::getrlimit(RLIMIT_AS, &limit);
    ::_exit(limit.rlim_cur == asked ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  testing::skip("this system does not let a process limit its address space");
  return false;
}

// The exit code of a child that runs `check` with so much address space left.
template <class Check>
int with_limit(std::size_t bytes_left, Check&& check) {
  const pid_t child = ::fork();
  if (child == 0) {
    rlimit limit{};
    limit.rlim_cur = limit.rlim_max = std::numeric_limits<rlim_t>::max() / 4;
    ::setrlimit(RLIMIT_AS, &limit);  // a limit that is none, to learn what is used
    const std::size_t used = limit.rlim_cur - address_space_left();
    limit.rlim_cur = limit.rlim_max = used + bytes_left;
    ::setrlimit(RLIMIT_AS, &limit);
    ::_exit(check());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("without a limit nothing is told; with one, what is left of it") {
  rlimit limit{};
  ::getrlimit(RLIMIT_AS, &limit);
  if (limit.rlim_cur == RLIM_INFINITY) CHECK(address_space_left() == std::numeric_limits<std::size_t>::max());
  if (!limits_can_be_set()) return;
  CHECK(with_limit(64 * kMiB, [] {
          const std::size_t left = address_space_left();
          return left > 60 * kMiB && left <= 64 * kMiB ? 0 : 1;
        }) == 0);
}

TEST_CASE("a file that finds no room is refused with need and limit, and is no bad input") {
  if (!limits_can_be_set()) return;
  const TemporaryFolder folder;
  const Path file = folder.path() / "large";
  std::ofstream(file) << "x";
  std::filesystem::resize_file(file, 200 * kMiB);  // sparse
  CHECK(with_limit(64 * kMiB, [&] {
          try {
            map_input(file);
          } catch (const RefusedError& error) {
            const std::string text = error.what();
            return text.find("large'") != std::string::npos &&
                           text.find("it needs 200.0 MiB of address space and") != std::string::npos &&
                           text.find("are left of the limit (ulimit -v)") != std::string::npos
                       ? 0
                       : 2;
          } catch (const Error&) {
            return 3;
          }
          return 4;
        }) == 0);
}
