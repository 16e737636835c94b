// What the mains of the benchmark programs share.
#pragma once
#include <functional>

namespace loglog::bench {

constexpr int kMostThreads = 1024;  // that --threads takes, as the verbs of loglog do

// The exit code of `run`, or that of the error that it throws (base/error.hpp), which is said under the program's name.
// Results that did not reach standard output are a failure too.
int run_program(const char* name, const std::function<int()>& run);

}  // namespace loglog::bench
