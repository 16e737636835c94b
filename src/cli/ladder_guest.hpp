// A rung of the user's own: compiled by the system's compiler, and run in a process of its own, so that a crash or an endless
// loop ends that process and not the measurement.
//
// The child is this program (`loglog ladder NAME --host FILE.so`). It reads requests from descriptor 3 and answers on 4, by lines;
// to the rung itself, standard input is empty and standard output is ours of errors:
//
//   check PARTS        call WHAT and returned, for every call of the rung; then right | wrong WHERE
//   run PARTS CALLS    took SECONDS PROCESSOR-SECONDS
//   remark 0           remark TEXT
#pragma once
#include <string>
#include <vector>

#include "base/child_process.hpp"
#include "base/file.hpp"
#include "kernels/ladder/ladder.hpp"

namespace loglog::cli {

struct GuestOptions {
  Path source;
  std::string compiler = "c++";
  double time_limit = 10;  // seconds that one call may take
  Path temporary;          // where folders of our own may be made
  std::string program;     // this executable
  std::string isa;         // whose flags it is compiled with, and which the child chooses
  int threads = 1;
};

// The compiled file, in a folder that lives as long as this object.
class GuestBuild {
 public:
  // InputError when the source is no file or does not compile, with the compiler's words; RefusedError without a compiler.
  explicit GuestBuild(const GuestOptions& options);
  const Path& library() const { return library_; }
  WorkFolder& folder() { return folder_; }

 private:
  WorkFolder folder_;
  Path library_;
};

// One process that runs it on operands of one size. Every function throws Error when the rung crashes, ends the process or
// takes too long, InputError when it does not define its function.
class Guest {
 public:
  Guest(GuestBuild& build, const GuestOptions& options, const kernels::ladder::LadderKind& kind,
        const std::vector<kernels::Index>& size);
  ~Guest();
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  std::string check(kernels::Index parts);  // empty when right
  double seconds(kernels::Index parts, int calls);
  // Decides by a few timings how many threads it keeps busy, and so by which clock it is timed from now on.
  void settle_threads(kernels::Index parts, int calls);
  int threads() const { return threads_; }
  std::string remark();  // as Ladder::remark

 private:
  void request(const std::string& line);
  std::string answer(double limit);  // seconds, or no limit where it is 0
  void end();

  const GuestOptions& options_;
  WorkFolder& folder_;
  std::string doing_ = "while it was loaded";
  std::string buffer_;
  int threads_ = 1;
  bool settled_ = false;
  double seconds_per_call_ = 0;  // when it was last timed
  std::optional<ChildProcess> child_;
  int to_ = -1, from_ = -1;
};

// The child: loads `library` as a rung of `ladder` and answers.
int host_guest(kernels::ladder::Ladder& ladder, const std::string& symbol, const Path& library);

// The text of loglog_rung.hpp.
std::string_view guest_header();

}  // namespace loglog::cli
