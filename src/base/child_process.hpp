// Other programs as children of this one, and folders for what they make.
#pragma once
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/file.hpp"

namespace loglog {

struct ChildCommand {
  struct Descriptor {
    int ours, theirs;
  };
  std::vector<std::string> words;             // a program, looked for along PATH, and its arguments
  std::vector<std::string> environment = {};  // NAME=value, beside and above ours
  // It finds our standard output and error and nothing on standard input, unless this says otherwise.
  std::vector<Descriptor> descriptors = {};
};

// A child in a process group of its own, so that its own children end with it. A signal of the terminal does not reach it: a
// WorkFolder sees to it that it does not outlive us.
class ChildProcess {
 public:
  explicit ChildProcess(const ChildCommand& command);
  ~ChildProcess();  // kills what still runs
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  bool started() const { return error_ == 0; }
  int error() const { return error_; }  // errno of a start that failed
  pid_t group() const { return group_; }

  // What waitpid says of it, once it has ended; the second gives up after so many seconds.
  int wait();
  std::optional<int> wait_for(double seconds);
  void kill();  // the whole group, and waits

 private:
  bool ended(int options);

  pid_t group_ = -1;  // and its own number
  int error_ = 0;
  std::optional<int> status_;
};

// A folder for temporary files. Its destructor removes it; where this process ends without one, by whatever signal, a small
// shell that waits for that removes it and kills the child that works there.
class WorkFolder {
 public:
  // PARENT/loglog-NAME-XXXXXX; IoError when it cannot be made.
  WorkFolder(const Path& parent, const std::string& name);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  const Path& path() const { return path_; }
  void guard(const ChildProcess* child);  // the one that works there now; null: none

 private:
  Path path_;
  int to_watcher_ = -1;
  std::optional<ChildProcess> watcher_;
};

}  // namespace loglog
