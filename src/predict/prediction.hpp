// Losses foretold: a law is fitted to the runs that are there, and says what runs that nobody has trained yet will reach.
//
// A prediction is worth something when it cannot have been made afterwards: registration.hpp binds the runs to the file in which it
// stood before they were trained, score.hpp compares.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fit/intervals.hpp"
#include "fit/table.hpp"
#include "sweep/grid.hpp"

namespace loglog::predict {

struct Prediction {
  std::string run;  // identity: configuration, data and seed, hence learning rate, batch and schedule
  std::string name, size;
  double N = 0, D = 0, C = 0;
  std::int64_t seed = 0;
  double lr = 0;
  std::int64_t batch = 0;
  double loss = 0;       // nats per token
  fit::Ends law{};       // 95%, of the law there
  fit::Ends one{};       // 95%, of one run there
  double floorless = 0;  // what a law without a floor says
  double unchanged = 0;  // the lowest loss among the runs that were fitted
};

// What all predictions of a file rest on.
struct Basis {
  std::string sweep;  // whose runs are foretold
  std::string law, formula, floorless_law, interval;
  std::string fitted_sweep;
  int fitted_runs = 0;
  double largest_C = 0;        // among them
  std::string fitted_results;  // hash of their identities and losses
  std::string data_checksum;
  std::map<std::string, std::string> rules;  // of the sweep, by their keys: lr, batch, seeds
};

struct PredictionSet {
  Basis basis;
  std::vector<Prediction> list;
};

struct PredictOptions {
  std::string law = "chinchilla";
  std::string floorless = "kaplan";
  std::string interval = "auto";
  int bootstrap = 1000;
  std::uint64_t seed = 1;
  int threads = 1;
  std::string fitted_sweep;  // for the record
};

// For every run of `grid`. RefusedError where the law is not identified, gives a place no interval, or where a run is among the fitted.
PredictionSet predictions_of(const sweep::SweepSpec& sweep, const sweep::Grid& grid, const fit::Table& fitted,
                             const PredictOptions& options);

}  // namespace loglog::predict
