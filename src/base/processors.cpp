#include "base/processors.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace loglog {

std::vector<int> usable_processors() {
  std::vector<int> processors;
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) processors.push_back(cpu);
#endif
  if (!processors.empty()) return processors;
  const int count = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  for (int cpu = 0; cpu < count; ++cpu) processors.push_back(cpu);
  return processors;
}

double load_average() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? load : std::numeric_limits<double>::quiet_NaN();
}

std::string field_of(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t value = line.find_first_not_of(" \t", line.find(':') + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

std::string processor_name() {
  for (const char* key : {"model name", "Model", "CPU part"}) {
    if (std::string name = field_of("/proc/cpuinfo", key); !name.empty()) return name;
  }
  return "unknown";
}

}  // namespace loglog
