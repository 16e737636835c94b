#include "train/memory.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

#include "base/error.hpp"

namespace loglog::train {
namespace {

constexpr std::size_t kProgramBytes = std::size_t{1} << 20;
constexpr std::size_t kThreadBytes = std::size_t{1} << 18;  // touched stack and allocator arena of a worker
constexpr double kMiB = 1 << 20;

// The number behind "name:" in a file of such lines, which counts KiB.
std::optional<std::size_t> kib_field(const char* path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    return std::strtoull(line.c_str() + name.size() + 1, nullptr, 10) * 1024;
  }
  return std::nullopt;
}

std::optional<std::size_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::size_t number = 0;
  if (file >> number) return number;
  return std::nullopt;  // absent, or "max"
}

std::optional<std::size_t> headroom(const std::string& limit_file, const std::string& usage_file) {
  const auto limit = number_in(limit_file);
  const auto usage = number_in(usage_file);
  if (!limit || !usage) return std::nullopt;
  return *limit - std::min(*limit, *usage);
}

// What the control groups of this process leave, from its own group up to the root: any of them may be the tight one.
std::size_t control_group_headroom() {
  std::size_t least = std::numeric_limits<std::size_t>::max();
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool unified = controllers.empty();
    if (!unified && controllers != "memory") continue;
    const std::string root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    for (std::string group = line.substr(second + 1);; group.resize(group.rfind('/'))) {
      const std::string folder = root + group + "/";
      const auto left = unified
                            ? headroom(folder + "memory.max", folder + "memory.current")
                            : headroom(folder + "memory.limit_in_bytes", folder + "memory.usage_in_bytes");
      least = std::min(least, left.value_or(least));
      if (group.rfind('/') == std::string::npos) break;
    }
  }
  return least;
}

}  // namespace

RunMemory plan_memory(const model::RunConfig& config, const kernels::KernelTable& table, int threads) {
  RunMemory plan;
  const model::BatchShape shape{config.train.micro_batch, config.model.context};
  plan.model = model::Gpt::plan(config.model, shape, table, threads);
  const auto targets = static_cast<std::size_t>(config.train.micro_batch * config.model.context);
  plan.batch = targets * (2 * sizeof(data::Token) + sizeof(float));
  plan.program = kProgramBytes + static_cast<std::size_t>(threads) * kThreadBytes;
  return plan;
}

std::string describe(const RunMemory& plan) {
  const auto line = [](std::string_view name, std::size_t bytes) {
    return fmt::format("  {:<12} {:>10.1f} MiB\n", name, static_cast<double>(bytes) / kMiB);
  };
  return line("parameters", plan.model.parameters) + line("gradients", plan.model.gradients) +
         line("optimiser", plan.model.optimizer) + line("activations", plan.model.activations) +
         line("scratch", plan.model.scratch) + line("batch", plan.batch) + line("program", plan.program) +
         line("together", plan.total());
}

std::size_t available_memory() {
  const std::size_t free =
      kib_field("/proc/meminfo", "MemAvailable").value_or(std::numeric_limits<std::size_t>::max());
  return std::min(free, control_group_headroom());
}

void require_memory(const RunMemory& plan, std::size_t available) {
  if (plan.total() <= available) return;
  throw RefusedError(fmt::format(
      "this run needs {:.1f} MiB of memory and {:.1f} MiB are available; a smaller train.micro_batch (same "
      "result, less for activations) or a smaller model would fit\n{}",
      static_cast<double>(plan.total()) / kMiB, static_cast<double>(available) / kMiB, describe(plan)));
}

std::size_t resident_memory() {
  return kib_field("/proc/self/status", "RssAnon").value_or(0);
}

int usable_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return 1;
  return std::max(1, CPU_COUNT(&allowed));
}

}  // namespace loglog::train
