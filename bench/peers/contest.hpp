// Several ways to do the same work, timed in turn: a slow minute of the machine slows all of them.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace loglog::bench {

struct Contestant {
  std::string name;
  bool counted = true;  // whether the requirement on the ratio looks at it
  std::function<void()> run;
};

struct Contest {
  double work;                          // of one call: operations or bytes
  std::vector<Contestant> contestants;  // ours first
  std::function<double()> ceiling;      // work per second that is possible at best; may be empty
};

struct Rounds {
  int count;
  double seconds;  // of each contestant in each round
  // Seconds of the calling thread's processor time, which leaves out those in which other programs had the processor; for
  // work that runs on this thread alone.
  bool processor_time = false;
};

struct Rates {
  std::string name;
  bool counted;
  std::vector<double> per_round;  // work per second
};

struct ContestResult {
  std::vector<Rates> rates;      // ours first
  std::vector<double> ceilings;  // per round

  const Rates& ours() const { return rates.front(); }
  // Medians over the rounds of ours / theirs: what both suffered in a round cancels. 0 when nobody is there.
  double ratio(const Rates& theirs) const;
  double ratio_to_best() const;  // of those that are counted
  double share() const;          // of the ceiling
};

// Each round takes everybody once, beginning with another one each time: a pause in which the last one's threads stop
// spinning (OpenBLAS: 2^26 ticks), one call that wakes its own, then calls for `seconds`; and the ceiling.
ContestResult hold(const Contest& contest, const Rounds& rounds);

double median(std::vector<double> values);
// Largest minus smallest, over the median.
double spread(const std::vector<double>& values);

}  // namespace loglog::bench
