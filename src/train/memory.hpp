// What a run will take and what there is to take it from.
#pragma once
#include <cstddef>
#include <string>

#include "data/batcher.hpp"
#include "model/gpt.hpp"

namespace loglog::train {

// Bytes of memory that is not backed by a file. The token file is mapped: its pages are the system's to drop.
struct RunMemory {
  model::MemoryPlan model;
  std::size_t batch = 0;    // tokens, targets and losses of one pass
  std::size_t program = 0;  // the process itself: code that is written to, stacks, allocator
  std::size_t total() const { return model.total() + batch + program; }
};

// `config` is resolved. RefusedError where the sum would not fit 64 bits.
RunMemory plan_memory(const model::RunConfig& config, const kernels::KernelTable& table, int threads);

// The plan as a few aligned lines, for people.
std::string describe(const RunMemory& plan);

// Bytes that can still be taken: the smallest of what the machine has free, what the control groups (version
// 1 and 2) of this process leave, and what `ulimit -v` does.
std::size_t available_memory();

// The second of these: the least that a group leaves on the way from this process's own up to the root,
// files' pages not counted as used; the largest number when no group sets a limit. Tests pass their own files.
std::size_t control_group_headroom(const Path& groups_file = "/proc/self/cgroup",
                                   const Path& mount = "/sys/fs/cgroup");

// RefusedError, naming both numbers and what would help, when the plan does not fit.
void require_memory(const RunMemory& plan, std::size_t available);

// Bytes of this process that are now in memory and backed by no file (RssAnon); 0 where the system does not tell.
std::size_t resident_memory();

// The most that it ever was, as far as the system tells: the peak of all resident pages without those of files.
std::size_t peak_memory();

}  // namespace loglog::train
