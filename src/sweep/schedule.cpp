#include "sweep/schedule.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace loglog::sweep {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kWorkersStart =
    0.3;  // seconds: a look at the store, processes that start, and the last look

// As Store::acquire() orders them.
double dearness(const RunSpec& run) {
  return std::max(run.seconds, 1e-12 * run.c);
}

class Schedule {
 public:
  Schedule(std::span<const RunSpec> runs, int processors) : processors_(processors) {
    for (const RunSpec& run : runs) {
      waiting_[run.threads].push_back(&run);
      ends_[run.identity] = kNever;
    }
    for (auto& [threads, list] : waiting_)
      std::ranges::stable_sort(list, std::greater(), [](const RunSpec* run) { return dearness(*run); });
  }

  double run() {
    double now = 0;
    for (auto group = waiting_.rbegin(); group != waiting_.rend(); ++group)
      now = train(group->second, group->first, now + kWorkersStart);
    return now;
  }

 private:
  bool is_ready(const RunSpec& run, double now) const {
    const auto parent = ends_.find(run.parent);
    return run.parent.empty() || parent == ends_.end() || parent->second <= now;
  }

  // Until the last of a group ends.
  double train(std::vector<const RunSpec*>& group, int threads, double begin) {
    std::vector<double> free(static_cast<std::size_t>(std::max(1, processors_ / std::max(1, threads))),
                             begin);
    double last = begin;
    while (!group.empty()) {
      const auto slot = std::ranges::min_element(free);
      const auto next =
          std::ranges::find_if(group, [&](const RunSpec* run) { return is_ready(*run, *slot); });
      if (next == group.end()) {  // a parent is under way still
        const double later = next_end(*slot);
        if (later == kNever) break;  // it never was in the list, nor done: no schedule of ours
        *slot = later;
        continue;
      }
      *slot += (*next)->seconds;
      ends_[(*next)->identity] = *slot;
      last = std::max(last, *slot);
      group.erase(next);
    }
    return last;
  }

  double next_end(double now) const {
    double next = kNever;
    for (const auto& [identity, end] : ends_)
      if (end > now) next = std::min(next, end);
    return next;
  }

  int processors_;
  std::map<int, std::vector<const RunSpec*>> waiting_;  // by threads
  std::map<std::string, double> ends_;                  // by identity; never: not begun
};

}  // namespace

double makespan(std::span<const RunSpec> runs, int processors) {
  return Schedule(runs, processors).run();
}

}  // namespace loglog::sweep
