// Who holds a lease, and whether it still lives. No clock of the wall is read anywhere: clocks jump.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace loglog::sweep {

// Names this process among all that ever ran: boot, process namespace, id, start time.
std::string this_process();

// True when `holder` certainly runs no more: it was started on this boot of this machine and is gone. False
// for the living, for other machines and for what cannot be told.
bool is_gone(std::string_view holder);

// Whether `holder` was started on this boot of this machine, so that is_gone() can tell.
bool is_of_this_machine(std::string_view holder);

// Names a lease among all that ever were.
std::string random_token();

// Finds leases whose holder stopped beating, by watching their beat counters against our own monotonic clock
// (which stands still while a laptop sleeps, as the holders do).
class BeatWatch {
 public:
  using Clock = std::chrono::steady_clock;

  // `patience`: how long a counter may stand still; three intervals between beats.
  explicit BeatWatch(Clock::duration patience) : patience_(patience) {}

  // Call regularly for every running lease. True when its beat has not moved for `patience`.
  bool is_stale(std::int64_t run, const std::string& token, std::int64_t beat, Clock::time_point now);

 private:
  struct Seen {
    std::string token;
    std::int64_t beat;
    Clock::time_point since;
  };
  Clock::duration patience_;
  std::map<std::int64_t, Seen> seen_;
};

}  // namespace loglog::sweep
