#include "train/fastest_threads.hpp"

namespace loglog::train {

int fastest_threads(model::Index steps, int most, const std::function<double(int threads)>& rate) {
  constexpr model::Index kShortest = 100 * 2 * kStepsPerRate;  // there are two measurements at least
  if (steps < kShortest) return most;
  int best = most;
  double best_rate = 0;
  for (int threads = most; most > 1 && threads >= 1; threads /= 2) {
    const double now = rate(threads);
    if (now <= best_rate) break;
    best_rate = now;
    best = threads;
  }
  return best;
}

}  // namespace loglog::train
