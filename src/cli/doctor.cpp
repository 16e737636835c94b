// loglog doctor: what this machine is, what of loglog runs on it, and how fast it can be at best.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/processors.hpp"
#include "cli/verb.hpp"
#include "cli/verbs.hpp"
#include "kernels/isa.hpp"
#include "kernels/peak.hpp"
#include "kernels/table.hpp"
#include "kernels/threads.hpp"

namespace loglog::cli {
namespace {

using Json = nlohmann::ordered_json;
using kernels::KernelTable;

// Processors that this process may run on, by their highest clock where the kernel tells: laptops mix fast and slow.
Json core_counts() {
  std::vector<double> clocks;
  for (const int cpu : usable_processors()) {
    double khz = 0.0;
    std::ifstream(fmt::format("/sys/devices/system/cpu/cpu{}/cpufreq/cpuinfo_max_freq", cpu)) >> khz;
    clocks.push_back(khz);
  }
  const double fastest = clocks.empty() ? 0.0 : *std::max_element(clocks.begin(), clocks.end());
  // Cores of one kind differ by a few percent in their best turbo step; kinds differ by a quarter and more.
  const auto slow =
      std::count_if(clocks.begin(), clocks.end(), [&](double khz) { return khz < 0.85 * fastest; });
  return {
      {"usable", clocks.size()}, {"fast", clocks.size() - static_cast<std::size_t>(slow)}, {"slow", slow}};
}

std::int64_t meminfo_bytes(std::string_view key) {
  return std::strtoll(field_of("/proc/meminfo", key).c_str(), nullptr, 10) * 1024;
}

Json isa_report(const KernelTable& chosen) {
  Json rows = Json::array();
  for (const kernels::IsaRow& row : kernels::isa_rows()) {
    rows.push_back({{"name", row.name}, {"supported", row.supported}, {"chosen", row.table == &chosen}});
  }
  return rows;
}

// File names of the OpenMP runtimes in this process. Two of them would start two sets of threads that fight
// for the cores and can deadlock at exit.
std::set<std::string> openmp_runtimes() {
  std::set<std::string> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::size_t slash = line.rfind('/');
    if (slash == std::string::npos) continue;
    const std::string name = line.substr(slash + 1);
    for (const char* runtime : {"libgomp", "libomp", "libiomp5"}) {
      if (name.starts_with(runtime)) found.insert(line.substr(line.find('/')));
    }
  }
  return found;
}

constexpr int kSamples = 9;

// The best of nine: anything else that runs only ever lowers a sample.
template <class Sample>
double best_of(Sample&& sample) {
  double best = 0.0;
  for (int i = 0; i < kSamples; ++i) best = std::max(best, sample());
  return best;
}

Json measured_peaks(const KernelTable& table, int threads) {
  constexpr std::size_t kL1 = 16 << 10, kL2 = 256 << 10, kCopied = 256 << 20;
  // Beyond any cache, if there is that much memory to spare.
  const std::size_t memory_bytes =
      std::clamp<std::size_t>(static_cast<std::size_t>(meminfo_bytes("MemAvailable")) / 4, 64 << 20, 1 << 30);
  Json peaks = Json::array();
  for (const int count : threads > 1 ? std::vector<int>{1, threads} : std::vector<int>{1}) {
    const auto read = [&](std::size_t bytes) {
      return best_of([&] { return kernels::sample_read_bytes(table, count, bytes, 0.005); });
    };
    const auto read_memory = [&] {
      return kernels::sample_read_bytes(table, count, memory_bytes / static_cast<std::size_t>(count), 0.1);
    };
    peaks.push_back({{"threads", count},
                     {"fma_flops", best_of([&] { return kernels::sample_fma_flops(table, count); })},
                     {"bf16_flops", best_of([&] { return kernels::sample_dot_bf16_flops(table, count); })},
                     {"int8_ops", best_of([&] { return kernels::sample_dot_s8_ops(table, count); })},
                     {"read_l1_bytes_per_s", read(kL1)},
                     {"read_l2_bytes_per_s", read(kL2)},
                     {"read_memory_bytes_per_s", std::max(read_memory(), read_memory())},
                     {"copy_memory_bytes_per_s", kernels::sample_copy_bytes(table, count, kCopied)}});
  }
  return peaks;
}

// The lowest rate of half a second of work on all cores, relative to the highest: heat, power limits and neighbours.
double clock_drift(const KernelTable& table, int threads) {
  double low = 0.0, high = 0.0;
  for (int i = 0; i < 25; ++i) {
    const double rate = kernels::sample_fma_flops(table, threads, 0.02);
    low = i == 0 ? rate : std::min(low, rate);
    high = std::max(high, rate);
  }
  return 1.0 - low / high;
}

Json tools() {
  const bool gnuplot = std::system("command -v gnuplot >/dev/null 2>&1") == 0;
  return Json::array({{{"name", "gnuplot"},
                       {"found", gnuplot},
                       {"needed_for", "pictures of `loglog report`"},
                       {"how_to_get", "apt-get install gnuplot-nox, or brew install gnuplot"}}});
}

Json examine(const Environment& environment) {
  const KernelTable& table = kernels::select_table(environment.isa);
  const std::set<std::string> runtimes = openmp_runtimes();
  if (runtimes.size() > 1) {
    throw RefusedError(fmt::format("{} OpenMP runtimes are loaded, one is right: {}", runtimes.size(),
                                   fmt::join(runtimes, ", ")));
  }
  const Json cores = core_counts();
  const int threads = kernels::usable_threads(std::max(1, cores["usable"].get<int>()));
  Json report;
  report["version"] = LOGLOG_VERSION;
  report["cpu"] = processor_name();
  report["isa"] = isa_report(table);
  report["cores"] = cores;
  report["memory"] = {{"total_bytes", meminfo_bytes("MemTotal")},
                      {"available_bytes", meminfo_bytes("MemAvailable")}};
  report["openmp"] = runtimes.empty() ? Json("linked statically") : Json(*runtimes.begin());
  report["peaks"] = measured_peaks(table, threads);
  report["clock_drift"] = clock_drift(table, threads);
  report["tools"] = tools();
  return report;
}

void print_peaks(const Json& report) {
  for (const Json& p : report["peaks"]) {
    const auto giga = [&](const char* key) { return p[key].get<double>() * 1e-9; };
    fmt::print("peak {:>2} {:<9} {:.1f} GFLOP/s, bfloat16 {:.1f}, int8 {:.1f} GOP/s\n",
               p["threads"].get<int>(), p["threads"] == 1 ? "thread" : "threads", giga("fma_flops"),
               giga("bf16_flops"), giga("int8_ops"));
    fmt::print("                  read GB/s: L1 {:.0f}, L2 {:.0f}, memory {:.1f}; copy {:.1f}\n",
               giga("read_l1_bytes_per_s"), giga("read_l2_bytes_per_s"), giga("read_memory_bytes_per_s"),
               giga("copy_memory_bytes_per_s"));
  }
}

void print_text(const Json& report) {
  fmt::print("loglog {}\nCPU               {}\n", report["version"].get<std::string>(),
             report["cpu"].get<std::string>());
  for (const Json& row : report["isa"]) {
    fmt::print("ISA {:<13} {}{}\n", row["name"].get<std::string>(),
               row["supported"].get<bool>() ? "supported" : "built, but this CPU lacks it",
               row["chosen"].get<bool>() ? ", chosen" : "");
  }
  const Json& cores = report["cores"];
  fmt::print("cores             {} usable", cores["usable"].get<int>());
  if (cores["slow"].get<int>() > 0) {
    fmt::print(" ({} fast, {} slow)", cores["fast"].get<int>(), cores["slow"].get<int>());
  }
  const auto gib = [&](const char* key) { return report["memory"][key].get<double>() / 1073741824.0; };
  fmt::print("\nmemory            {:.1f} GiB, {:.1f} available\nOpenMP            {}\n", gib("total_bytes"),
             gib("available_bytes"), report["openmp"].get<std::string>());
  print_peaks(report);
  const double drift = report["clock_drift"].get<double>();
  fmt::print("drift             {:.0f}% between the best and the worst 20 ms{}\n", 100.0 * drift,
             drift > 0.15 ? ": timings on this machine vary that much" : "");
  for (const Json& tool : report["tools"]) {
    fmt::print("{:<17} {}\n", tool["name"].get<std::string>(),
               tool["found"].get<bool>()
                   ? std::string("found")
                   : fmt::format("not found, needed for {}: {}", tool["needed_for"].get<std::string>(),
                                 tool["how_to_get"].get<std::string>()));
  }
}

}  // namespace

void add_doctor(CLI::App& app, const Environment& environment, Action& run) {
  CLI::App* verb =
      app.add_subcommand("doctor", "What this machine is, which kernels it runs, how fast it can be");
  const auto json = std::make_shared<bool>(false);
  verb->add_flag("--json", *json, "one JSON object on stdout, rates in FLOP/s and bytes/s");
  verb->footer("Examples:\n  loglog doctor\n  loglog --isa scalar doctor --json");
  verb->callback([&environment, &run, json] {
    run = [&environment, json] {
      const Json report = examine(environment);
      if (*json) {
        fmt::print("{}\n", json_text(report, 2));
      } else {
        print_text(report);
      }
      return 0;
    };
  });
}

}  // namespace loglog::cli
