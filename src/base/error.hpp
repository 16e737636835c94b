// Errors that end a command, by who is to blame. They are caught once, in main, and become a message and an exit code.
#pragma once
#include <cerrno>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace loglog {

// The exit codes that scripts rely on.
enum class Exit : int {
  done = 0,
  failed = 1,         // failed while running
  usage = 2,          // usage or config error
  some_failed = 3,    // some runs of a sweep failed
  bad_input = 4,      // an input file is bad
  diverged = 5,       // training diverged
  refused = 6,        // refused before start: memory, disk, cost limit
  store_busy = 7,     // store busy or on an unsafe filesystem
  checkpointed = 75,  // checkpointed on a signal, run me again
};

class Error : public std::runtime_error {
 public:
  Error(Exit code, const std::string& message) : std::runtime_error(message), exit_code(code) {}
  Exit exit_code;
};

// The user asked for something that does not exist: names the key, the value and what would be right.
class UsageError : public Error {
 public:
  explicit UsageError(const std::string& message) : Error(Exit::usage, message) {}
};

// A file holds something it should not: names the file, the place and what was expected.
class InputError : public Error {
 public:
  explicit InputError(const std::string& message) : Error(Exit::bad_input, message) {}
};

// The operating system failed: names the path and says why. `code` is an errno value.
class IoError : public Error {
 public:
  IoError(std::string_view what, std::string_view path, int code);
  int code;
};

// Refused before anything started, because it would not fit or cost too much.
class RefusedError : public Error {
 public:
  explicit RefusedError(const std::string& message) : Error(Exit::refused, message) {}
};

// The entry of `known` with the smallest edit distance to `name`, or "" when nothing is near enough to be meant.
std::string nearest_name(std::string_view name, std::span<const std::string_view> known);

// "unknown WHAT 'NAME'; did you mean 'X'? known: a, b, c"
[[noreturn]] void throw_unknown_name(std::string_view what, std::string_view name,
                                     std::span<const std::string_view> known);

// The one of `list` whose `member` is this name; else as above.
template <class List, class Item, class Name>
const Item& find_named(std::string_view what, std::string_view name, const List& list, Name Item::*member) {
  std::vector<std::string_view> known;
  for (const Item& item : list) {
    if (item.*member == name) return item;
    known.push_back(item.*member);
  }
  throw_unknown_name(what, name, known);
}

}  // namespace loglog
