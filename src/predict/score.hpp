// Predictions beside what the runs reached.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "predict/prediction.hpp"
#include "sweep/store.hpp"

namespace loglog::predict {

struct Scored {
  Prediction prediction;
  std::string state;           // of the run: done, diverged, ...; "not trained" where the store has none
  std::optional<double> loss;  // that it reached
  std::string commit, hash;    // of the registration that the run names; empty where it names none
  bool registered = false;     // it names this very file

  // Relative, of a run with a loss: (said - reached) / reached.
  double error() const { return (prediction.loss - *loss) / *loss; }
  double floorless_error() const { return (prediction.floorless - *loss) / *loss; }
  double unchanged_error() const { return (prediction.unchanged - *loss) / *loss; }
  double half_width() const { return (prediction.one.high - prediction.one.low) / (2 * prediction.loss); }
  bool inside() const { return *loss >= prediction.one.low && *loss <= prediction.one.high; }
};

// `hash`: of the file of predictions.
std::vector<Scored> score(const PredictionSet& set, const std::string& hash, const sweep::Store& store);

}  // namespace loglog::predict
