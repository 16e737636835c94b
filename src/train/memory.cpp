#include "train/memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <span>
#include <sstream>

#include "base/address_space.hpp"
#include "base/error.hpp"
#include "train/optimizer.hpp"
#include "train/train_state.hpp"

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

std::optional<std::size_t> number_in(const Path& path) {
  std::ifstream file(path);
  std::size_t number = 0;
  if (file >> number) return number;
  return std::nullopt;  // absent, or "max"
}

// The sum of the numbers behind these names in a file of lines "name number".
std::size_t sum_of_fields(const Path& path, std::span<const std::string_view> names) {
  std::size_t sum = 0;
  std::ifstream file(path);
  std::string name;
  for (std::size_t number = 0; file >> name >> number;)
    if (std::find(names.begin(), names.end(), name) != names.end()) sum += number;
  return sum;
}

constexpr std::string_view kFilePages[] = {"inactive_file", "active_file"};
constexpr std::string_view kFilePagesBelow[] = {"total_inactive_file",
                                                "total_active_file"};  // with child groups

// Pages of files count as used, but the system drops them as soon as somebody needs memory.
std::optional<std::size_t> headroom(const Path& group, bool unified) {
  const auto limit = number_in(group / (unified ? "memory.max" : "memory.limit_in_bytes"));
  const auto usage = number_in(group / (unified ? "memory.current" : "memory.usage_in_bytes"));
  if (!limit || !usage) return std::nullopt;
  const std::size_t file_pages =
      sum_of_fields(group / "memory.stat", std::span(unified ? kFilePages : kFilePagesBelow));
  const std::size_t used = *usage - std::min(*usage, file_pages);
  return *limit - std::min(*limit, used);
}

}  // namespace

std::size_t control_group_headroom(const Path& groups_file, const Path& mount) {
  std::size_t least = std::numeric_limits<std::size_t>::max();
  std::ifstream groups(groups_file);
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool unified = controllers.empty();
    if (!unified && controllers != "memory") continue;
    const std::string root = (unified ? mount : mount / "memory").native();
    for (std::string group = line.substr(second + 1);; group.resize(group.rfind('/'))) {
      least = std::min(least, headroom(root + group, unified).value_or(least));
      if (group.rfind('/') == std::string::npos) break;
    }
  }
  return least;
}

namespace {

// Sizes are multiplied in 64 bits. A pass so large that they might not fit is refused before anything is: `bytes` is an upper bound of
// what a row takes, with room for the temporaries of a layer.
void require_countable_pass(const model::RunConfig& config) {
  const model::ModelConfig& m = config.model;
  const double rows =
      static_cast<double>(config.train.micro_batch) * static_cast<double>(config.model.context);
  const auto widest = static_cast<double>(std::max({m.width, m.hidden(), m.vocab}));
  const double bytes = 128 * static_cast<double>(m.layers + 4) * widest;
  if (rows * bytes < 0x1p62) return;
  throw RefusedError(fmt::format(
      "a pass of {:.3g} tokens (train.micro_batch x model.context) needs more memory than there is; "
      "a smaller train.micro_batch gives the same result",
      rows));
}

}  // namespace

RunMemory plan_memory(const model::RunConfig& config, const kernels::KernelTable& table, int threads) {
  require_countable_pass(config);
  RunMemory plan;
  const model::BatchShape shape = pass_shape(config);
  plan.model = model::Gpt::plan(config.model, shape, products(config), table, threads, purpose(config));
  plan.model.optimizer = optimizer_bytes(config.train, config.model);
  plan.model.scratch = std::max(plan.model.scratch, optimizer_scratch_bytes(config.model, table, threads));
  const auto targets = static_cast<std::size_t>(config.train.micro_batch * config.model.context);
  plan.batch = targets * (2 * sizeof(data::Token) + sizeof(float));
  if (shape.documents) plan.batch += targets * eval::PackedDocuments::kBytesPerRow;
  plan.program = kProgramBytes + static_cast<std::size_t>(threads) * kThreadBytes;
  return plan;
}

std::string describe(const RunMemory& plan) {
  const auto line = [](std::string_view name, std::size_t bytes) {
    return fmt::format("  {:<12} {:>10.1f} MiB\n", name, static_cast<double>(bytes) / kMiB);
  };
  return line("parameters", plan.model.parameters) + line("gradients", plan.model.gradients) +
         line("optimiser", plan.model.optimizer) + line("packed", plan.model.packed) +
         line("activations", plan.model.activations) + line("scratch", plan.model.scratch) +
         line("batch", plan.batch) + line("program", plan.program) + line("together", plan.total());
}

std::size_t available_memory() {
  const std::size_t free =
      kib_field("/proc/meminfo", "MemAvailable").value_or(std::numeric_limits<std::size_t>::max());
  return std::min({free, control_group_headroom(), address_space_left()});
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

std::size_t peak_memory() {
  const auto field = [](std::string_view name) { return kib_field("/proc/self/status", name).value_or(0); };
  const std::size_t files =
      field("RssFile") + field("RssShmem");  // now; the system keeps no peak of these alone
  const std::size_t peak = field("VmHWM");
  return std::max(resident_memory(), peak - std::min(peak, files));
}

}  // namespace loglog::train
