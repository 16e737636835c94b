#include "cli/stop_signals.hpp"

#include <signal.h>

#include <initializer_list>

#include "base/error.hpp"
#include "cli/talk.hpp"

namespace loglog::cli {
namespace {

volatile sig_atomic_t stop = 0;

extern "C" void on_stop_signal(int number) {
  stop = number;
}

}  // namespace

void install_stop_signals() {
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) {
    struct sigaction action {};
    struct sigaction old {};
    ::sigaction(number, nullptr, &old);
    if (old.sa_handler == SIG_IGN) continue;  // nohup and shells' background jobs want it so
    action.sa_handler = on_stop_signal;
    action.sa_flags = SA_RESTART;
    if (number == SIGINT) action.sa_flags |= SA_RESETHAND;  // the next one has its usual effect
    ::sigaction(number, &action, nullptr);
  }
}

bool stop_requested() {
  return stop != 0;
}

int stop_exit_code() {
  return 128 + stop;
}

bool unless_stopped(const std::function<void()>& write) {
  try {
    write();
  } catch (const Error& error) {
    if (error.exit_code != Exit::checkpointed) throw;
    talk("loglog: {}\n", error.what());
    return false;
  }
  return true;
}

}  // namespace loglog::cli
