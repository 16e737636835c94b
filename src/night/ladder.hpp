// The sizes that a night chooses from: depth and width grow together, each model about 1.6 times the one before.
#pragma once
#include <string>
#include <vector>

#include "model/config.hpp"

namespace loglog::night {

struct Rung {
  std::string name;  // "l2w64"
  model::Index layers, width, heads;
  double N = 0;                // headline count: matrices and head
  double flops_per_token = 0;  // of training, every product: the C of our fits
};

// Up to a billion parameters.
std::vector<Rung> size_ladder(model::Index vocab, model::Index context);

// What `rung` is in a configuration; all else as a night has it.
model::ModelConfig model_of(const Rung& rung, model::Index vocab, model::Index context);

}  // namespace loglog::night
