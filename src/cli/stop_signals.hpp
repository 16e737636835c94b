// Asks a running command to stop at the next good moment.
#pragma once
#include <functional>

namespace loglog::cli {

// From here on TERM, INT, HUP, USR1 and USR2 are remembered instead of ending the process; a second INT ends
// it at once. A signal that was ignored at the start (nohup) stays ignored. The only state of the process that is not
// passed as an argument: a signal handler takes none.
void install_stop_signals();

bool stop_requested();

// The exit code of a program that such a signal ended, 128 and its number, for commands that leave nothing to go on with.
int stop_exit_code();

// For such a command: false, and says so, where a signal broke off what `write` does through a StoppableFileSystem.
bool unless_stopped(const std::function<void()>& write);

}  // namespace loglog::cli
