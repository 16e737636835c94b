#include "fit/selftest/designs.hpp"

#include <algorithm>

#include "base/rng.hpp"

namespace loglog::fit {
namespace {

// Streams of one sweep do not meet those of another.
constexpr std::uint64_t kStreams = 8;
enum Stream : std::uint64_t { of_rows, of_runs, of_divergence, of_budgets };
Rng stream(std::uint64_t seed, std::uint64_t sweep, Stream which) {
  return {seed, sweep * kStreams + which};
}

std::vector<Place> grid(int sizes, const std::vector<double>& ratios) {
  constexpr double kLeast = 1e4, kRange = 300;
  std::vector<Place> places;
  for (int i = 0; i < sizes; ++i)
    for (const double ratio : ratios) {
      const double N = kLeast * std::pow(kRange, static_cast<double>(i) / (sizes - 1));
      places.push_back({N, N * ratio});
    }
  return places;
}

}  // namespace

double CoverageTruth::best_size(double C) const {
  return std::pow(alpha * A / (beta * B), 1 / (alpha + beta)) * std::pow(C / 6, a());
}

std::vector<Place> small24() {
  return grid(6, {5, 20, 40, 80});
}
std::vector<Place> lab40() {
  return grid(8, {5, 10, 20, 40, 80});
}
std::vector<Place> constant_ratio() {
  return grid(24, {20});
}

std::vector<Place> nine_budgets(std::uint64_t seed, std::uint64_t sweep) {
  constexpr int kBudgets = 9, kSizes = 5;
  const Rng off = stream(seed, sweep, of_budgets);
  std::vector<Place> places;
  for (int b = 0; b < kBudgets; ++b) {
    const double C = 1e12 * std::pow(1e4, static_cast<double>(b) / (kBudgets - 1));
    const double centre =
        CoverageTruth().best_size(C) * std::pow(2, off.uniform(static_cast<std::uint64_t>(b)) - 0.5);
    for (int s = 0; s < kSizes; ++s) {
      const double N = centre * std::pow(2, s - kSizes / 2);
      places.push_back({N, C / (6 * N)});
    }
  }
  return places;
}

LogNoise normal_noise(double sd) {
  return [sd](std::uint64_t seed, std::uint64_t sweep, std::uint64_t row) {
    return sd * stream(seed, sweep, of_rows).normal(row);
  };
}

LogNoise student_noise(double sd) {
  return [sd](std::uint64_t seed, std::uint64_t sweep, std::uint64_t row) {
    const Rng rng = stream(seed, sweep, of_rows);
    double squares = 0;
    for (std::uint64_t k = 1; k < 4; ++k) squares += std::pow(rng.normal(4 * row + k), 2);
    return sd * rng.normal(4 * row) / std::sqrt(squares);  // t of 3 over its standard deviation, sqrt(3)
  };
}

Runs runs_of(const std::vector<Place>& places, const std::vector<double>& loss, bool with_compute) {
  Runs runs;
  runs.variables = {"N", "D"};
  if (with_compute) runs.variables.emplace_back("C");
  runs.columns.resize(runs.variables.size());
  runs.loss = loss;
  runs.weight.assign(loss.size(), 1);
  runs.clusters = static_cast<int>(loss.size());
  for (int i = 0; i < runs.clusters; ++i) {
    const Place& place = places[static_cast<std::size_t>(i)];
    runs.columns[0].push_back(place.N), runs.columns[1].push_back(place.D);
    if (with_compute) runs.columns[2].push_back(6 * place.N * place.D);
    runs.row.push_back(i), runs.cluster.push_back(i);
  }
  return runs;
}

std::vector<double> losses_of(const std::vector<Place>& places, const std::function<double(Place)>& law,
                              const LogNoise& noise, std::uint64_t seed, std::uint64_t sweep) {
  std::vector<double> loss;
  for (std::uint64_t row = 0; row < places.size(); ++row)
    loss.push_back(law(places[row]) * std::exp(noise(seed, sweep, row)));
  return loss;
}

Runs checkpoints_of_runs(std::uint64_t seed, std::uint64_t sweep) {
  constexpr int kCheckpoints = 5;
  constexpr double kOfRun = 0.006, kOfCheckpoint = 0.002;
  const Rng of_run = stream(seed, sweep, of_runs), of_row = stream(seed, sweep, of_rows);
  const CoverageTruth truth;
  std::vector<Place> places;
  std::vector<double> loss;
  std::vector<int> cluster;
  for (const Place& end : small24()) {
    const int run = static_cast<int>(places.size()) / kCheckpoints;
    const double own = kOfRun * of_run.normal(static_cast<std::uint64_t>(run));
    for (int c = 1; c <= kCheckpoints; ++c) {
      places.push_back({end.N, end.D * c / kCheckpoints});
      const double z = own + kOfCheckpoint * of_row.normal(loss.size());
      loss.push_back(truth.loss(places.back().N, places.back().D) * std::exp(z));
      cluster.push_back(run);
    }
  }
  Runs runs = runs_of(places, loss);
  runs.cluster = cluster;
  runs.clusters = cluster.back() + 1;
  return runs;
}

Runs with_diverged(Runs runs, std::uint64_t seed, std::uint64_t sweep, std::vector<int>& diverged) {
  constexpr double kShare = 0.05, kLeast = 1.1, kMost = 1.5;
  const Rng rng = stream(seed, sweep, of_divergence);
  const int count = std::max(1, static_cast<int>(std::lround(kShare * runs.size())));
  const Permutation order(static_cast<std::uint64_t>(runs.size()), seed, sweep);
  for (int k = 0; k < count; ++k) {
    const auto row = static_cast<std::size_t>(order(static_cast<std::uint64_t>(k)));
    runs.loss[row] *= kLeast + (kMost - kLeast) * rng.uniform(static_cast<std::uint64_t>(k));
    diverged.push_back(static_cast<int>(row));
  }
  return runs;
}

}  // namespace loglog::fit
