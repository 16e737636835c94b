#include "bench/program.hpp"

#include <signal.h>

#include <cstring>
#include <new>

#include "base/error.hpp"
#include "base/streams.hpp"
#include "cli/talk.hpp"

namespace loglog::bench {

int run_program(const char* name, const std::function<int()>& run) {
  settle_streams();
  ::signal(SIGPIPE, SIG_DFL);  // nothing is worth measuring for a reader that has gone
  int code = static_cast<int>(Exit::failed);
  try {
    code = run();
  } catch (const Error& error) {
    cli::talk("{}: {}\n", name, error.what());
    code = static_cast<int>(error.exit_code);
  } catch (const std::bad_alloc&) {
    cli::talk("{}: out of memory\n", name);
  } catch (const std::exception& error) {
    cli::talk("{}: {}\n", name, error.what());
  }
  const int error = flush_results();
  if (error == 0) return code;
  cli::talk("{}: cannot write to standard output: {}\n", name, std::strerror(error));
  return static_cast<int>(Exit::failed);
}

}  // namespace loglog::bench
