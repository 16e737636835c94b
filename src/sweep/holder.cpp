#include "sweep/holder.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <random>
#include <sstream>

#include "base/error.hpp"
#include "base/file.hpp"

namespace loglog::sweep {
namespace {

std::string first_line(const Path& path) {
  try {
    const std::string text = read_text(path);
    return text.substr(0, text.find('\n'));
  } catch (const IoError&) {
    return "";
  }
}

// Where process numbers mean the same: one boot of one machine, one process namespace.
std::string place() {
  std::string boot = first_line("/proc/sys/kernel/random/boot_id");
  if (boot.empty()) {
    char host[256] = {};
    ::gethostname(host, sizeof host - 1);
    boot = host;
  }
  std::error_code ignored;
  return fmt::format("{}/{}", boot, std::filesystem::read_symlink("/proc/self/ns/pid", ignored).native());
}

struct ProcessStatus {
  char state;
  std::string start;  // in clock ticks since boot
};

// Fields 3 and 22 of /proc/PID/stat; the command in field 2 may hold spaces and brackets.
std::optional<ProcessStatus> process_status(long pid) {
  const std::string line = first_line(fmt::format("/proc/{}/stat", pid));
  const std::size_t bracket = line.rfind(')');
  if (bracket == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(bracket + 1));
  ProcessStatus status{};
  fields >> status.state;
  for (int field = 4; field <= 22; ++field) fields >> status.start;
  return status;
}

}  // namespace

std::string this_process() {
  const auto status = process_status(::getpid());
  return fmt::format("{} {} {}", place(), ::getpid(), status ? status->start : "0");
}

bool is_gone(std::string_view holder) {
  std::istringstream fields{std::string(holder)};
  std::string where;
  std::string start;
  long pid = 0;
  if (!(fields >> where >> pid >> start) || where != place()) return false;
  if (::kill(static_cast<pid_t>(pid), 0) != 0) return errno == ESRCH;
  const auto status = process_status(pid);
  return status && (status->state == 'Z' || status->start != start);
}

bool is_of_this_machine(std::string_view holder) {
  return holder.substr(0, holder.find(' ')) == place();
}

std::string random_token() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", device(), device(), device(), device());
}

bool BeatWatch::is_stale(std::int64_t run, const std::string& token, std::int64_t beat,
                         Clock::time_point now) {
  const auto [entry, is_new] = seen_.try_emplace(run, Seen{token, beat, now});
  Seen& seen = entry->second;
  if (is_new || seen.token != token || seen.beat != beat) {
    seen = Seen{token, beat, now};
    return false;
  }
  return now - seen.since >= patience_;
}

}  // namespace loglog::sweep
