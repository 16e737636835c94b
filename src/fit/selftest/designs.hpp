// Sweeps that nobody trained: losses of a known law at stated places, with noise of a stated kind.
#pragma once
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "fit/runs.hpp"

namespace loglog::fit {

// The truth of the coverage table: both terms of the order of 1 where runs of a small machine lie.
struct CoverageTruth {
  double E = 1, alpha = 0.35, beta = 0.37;
  double A = 1.5 * std::pow(1e4, alpha), B = std::pow(5e4, beta);
  double loss(double N, double D) const { return E + A * std::pow(N, -alpha) + B * std::pow(D, -beta); }
  double a() const { return beta / (alpha + beta); }  // N_opt ~ C^a at C = 6 N D
  double best_size(double C) const;                   // N_opt
};
inline constexpr double kTargetN = 1e8, kTargetD = 2e9;  // where the loss is predicted

struct Place {
  double N, D;
};
std::vector<Place> small24();         // 6 sizes of 1e4 .. 3e6, 5, 20, 40 and 80 tokens per parameter
std::vector<Place> lab40();           // 8 sizes, 5, 10, 20, 40 and 80
std::vector<Place> constant_ratio();  // 24 sizes, 20 tokens per parameter
// 9 budgets of 1e12 .. 1e16 FLOPs, 5 sizes each, a factor 2 apart, about the optimum but not on it: by how much each budget is off is drawn.
std::vector<Place> nine_budgets(std::uint64_t seed, std::uint64_t sweep);

// ln of what the loss of a run is multiplied with, of independent draws: `row` of sweep `sweep`.
using LogNoise = std::function<double(std::uint64_t seed, std::uint64_t sweep, std::uint64_t row)>;
LogNoise normal_noise(double sd);
LogNoise student_noise(double sd);  // Student's t of 3 degrees, scaled to this standard deviation

// The sweep as a table that has been read: variables N, D (and C = 6 N D where it is asked for), each row a run.
Runs runs_of(const std::vector<Place>& places, const std::vector<double>& loss, bool with_compute = false);
std::vector<double> losses_of(const std::vector<Place>& places, const std::function<double(Place)>& law,
                              const LogNoise& noise, std::uint64_t seed, std::uint64_t sweep);

// small24 read at 5 checkpoints of each run: a run's own error, sd 0.6%, and one of each checkpoint, sd 0.2%.
Runs checkpoints_of_runs(std::uint64_t seed, std::uint64_t sweep);
// 5% of the runs, drawn, end 10 to 50% too high; which, in `diverged`.
Runs with_diverged(Runs runs, std::uint64_t seed, std::uint64_t sweep, std::vector<int>& diverged);

}  // namespace loglog::fit
