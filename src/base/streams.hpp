// The standard streams of a program.
#pragma once

namespace loglog {

// A descriptor 0, 1 or 2 that is closed at start would be given to the next file that is opened, and messages
// would then be written into it. Results for a closed standard output are lost, so writing them fails there as it would
// have (EBADF); what is said to a closed standard error is dropped. A reader that goes away must not end a training run,
// nor a file above the limit of the shell: writes fail instead.
void settle_streams() noexcept;

// Sends off what standard output still holds, C's and C++'s. The errno of results that did not reach it, or 0; a reader
// that has seen enough (`| head`) is no failure.
int flush_results() noexcept;

}  // namespace loglog
