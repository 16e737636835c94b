#include "bench/peers/contest.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <thread>

namespace loglog::bench {
namespace {

constexpr auto kPause = std::chrono::milliseconds(30);

double now(bool processor_time) {
  timespec t;
  clock_gettime(processor_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double seconds_of(int calls, const std::function<void()>& run, bool processor_time) {
  const double start = now(processor_time);
  for (int i = 0; i < calls; ++i) run();
  return now(processor_time) - start;
}

// Calls per second.
double rate(const Contestant& contestant, const Rounds& rounds) {
  std::this_thread::sleep_for(kPause);
  contestant.run();
  int calls = 1;
  double taken = seconds_of(calls, contestant.run, rounds.processor_time);
  while (taken < rounds.seconds) {  // the last one alone counts, and it is long enough
    calls = std::max(calls + 1,
                     static_cast<int>(std::ceil(1.1 * calls * rounds.seconds / std::max(taken, 1e-7))));
    taken = seconds_of(calls, contestant.run, rounds.processor_time);
  }
  return calls / taken;
}

double median_ratio(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) ratios.push_back(a[i] / b[i]);
  return median(std::move(ratios));
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return (values[(n - 1) / 2] + values[n / 2]) / 2.0;
}

double spread(const std::vector<double>& values) {
  if (values.empty()) return 0.0;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return (*high - *low) / median(values);
}

double ContestResult::ratio(const Rates& theirs) const {
  return median_ratio(ours().per_round, theirs.per_round);
}

double ContestResult::ratio_to_best() const {
  double lowest = 0.0;
  for (std::size_t i = 1; i < rates.size(); ++i) {
    if (!rates[i].counted) continue;
    const double r = ratio(rates[i]);
    lowest = lowest == 0.0 ? r : std::min(lowest, r);
  }
  return lowest;
}

double ContestResult::share() const {
  return median_ratio(ours().per_round, ceilings);
}

ContestResult hold(const Contest& contest, const Rounds& rounds) {
  ContestResult result;
  for (const Contestant& c : contest.contestants) {
    result.rates.push_back({c.name, c.counted, {}});
    c.run();  // touches all memory
  }
  const std::size_t count = contest.contestants.size();
  for (int round = 0; round < rounds.count; ++round) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t next = (i + static_cast<std::size_t>(round)) % count;
      result.rates[next].per_round.push_back(contest.work * rate(contest.contestants[next], rounds));
    }
    if (contest.ceiling) result.ceilings.push_back(contest.ceiling());
  }
  return result;
}

}  // namespace loglog::bench
