// Learning rate and batch from the size of a model: where to start a search (`loglog train tune`), or what to train with.
//
//   porian  lr = 3.7 N^-0.36, batch = 3.7e-4 N^0.703 sequences of 2048 tokens           Porian et al. 2024, section 4
//           (N with the head; measured on web text with BPE, 5M to 900M parameters, AdamW with beta2 0.95)
//   bytes   lr = 0.0073 (N_nonemb / 24576)^-0.21 (L / 2)^-0.42 sqrt(batch / 1024 tokens) (D / 4e6)^-0.09,
//           batch = 512 (D / 2.5e6)^0.85 tokens
//           (ours: English bytes, 25k to 786k parameters, 2e6 to 6e7 tokens D, beta2 0.99; configs/sweeps/isoflop-text.toml)
#pragma once
#include "model/config.hpp"

namespace loglog::model {

struct SizeRule {
  double lr;
  Index batch;  // sequences of model.context, at least 1
};

// What train.size_rule says of this model and of `tokens` to train on, in sequences of its context. vocab is resolved.
SizeRule apply_size_rule(std::string_view rule, const ModelConfig& config, double tokens);

}  // namespace loglog::model
