// A run of Catch2's tests. Its implementation is compiled once, in session.cpp: it takes longer than most tests.
#pragma once

namespace loglog::testing {

// The exit code: 0 all passed, 77 something was skipped (skip.hpp), else failures or a bad command line (which is explained on
// stderr). argv is as main's, Catch2's own options in it.
int run_session(int argc, const char* const* argv);

}  // namespace loglog::testing
