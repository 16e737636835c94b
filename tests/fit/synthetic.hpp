// Sweeps made from a known law.
#pragma once
#include <cmath>
#include <vector>

#include "base/rng.hpp"
#include "fit/runs.hpp"

namespace loglog::testing {

// The truth of the coverage simulations: E 1, alpha .35, beta .37, both terms 1.5 and 1 at N = 1e4, D = 5e4.
struct Truth {
  double E = 1;
  double alpha = 0.35;
  double beta = 0.37;
  double A = 1.5 * std::pow(1e4, 0.35);
  double B = std::pow(5e4, 0.37);
  double loss(double N, double D) const { return E + A * std::pow(N, -alpha) + B * std::pow(D, -beta); }
};

inline fit::Runs empty_runs(std::vector<std::string> variables) {
  fit::Runs runs;
  runs.columns.resize(variables.size());
  runs.variables = std::move(variables);
  return runs;
}

inline void add_run(fit::Runs& runs, const std::vector<double>& values, double loss, int cluster = -1) {
  for (std::size_t v = 0; v < values.size(); ++v) runs.columns[v].push_back(values[v]);
  runs.row.push_back(runs.size());
  runs.cluster.push_back(cluster < 0 ? runs.size() : cluster);
  runs.loss.push_back(loss);
  runs.weight.push_back(1);
  runs.clusters = std::max(runs.clusters, runs.cluster.back() + 1);
}

// 8 sizes x 5 ratios, with normal noise on ln loss.
inline fit::Runs lab_sweep(double noise, std::uint64_t seed, const Truth& truth = {}) {
  fit::Runs runs = empty_runs({"N", "D"});
  const Rng rng(seed, 7);
  for (int i = 0; i < 8; ++i) {
    for (const double ratio : {5.0, 10.0, 20.0, 40.0, 80.0}) {
      const double N = 1e4 * std::pow(300.0, i / 7.0);
      const double z = noise * rng.normal(static_cast<std::uint64_t>(runs.size()));
      add_run(runs, {N, N * ratio}, truth.loss(N, N * ratio) * std::exp(z));
    }
  }
  return runs;
}

}  // namespace loglog::testing
