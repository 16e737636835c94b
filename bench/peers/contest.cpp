#include "bench/peers/contest.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

namespace loglog::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kPause = std::chrono::milliseconds(30);

double seconds_of(int calls, const std::function<void()>& run) {
  const auto start = Clock::now();
  for (int i = 0; i < calls; ++i) run();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Calls per second.
double rate(const Contestant& contestant, double seconds) {
  std::this_thread::sleep_for(kPause);
  contestant.run();
  int calls = 1;
  double taken = seconds_of(calls, contestant.run);
  while (taken < seconds) {  // the last one alone counts, and it is long enough
    calls = std::max(calls + 1, static_cast<int>(std::ceil(1.1 * calls * seconds / std::max(taken, 1e-7))));
    taken = seconds_of(calls, contestant.run);
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
      result.rates[next].per_round.push_back(contest.work * rate(contest.contestants[next], rounds.seconds));
    }
    if (contest.ceiling) result.ceilings.push_back(contest.ceiling());
  }
  return result;
}

}  // namespace loglog::bench
