// Parameters and floating-point operations, under every convention that scaling laws are quoted in.
#pragma once
#include "model/config.hpp"

namespace loglog::model {

// Parameters.
struct ParameterCounts {
  double n_nonemb =
      0;  // weights of the matrices in the blocks, 12 L C^2 (Kaplan et al. 2020, table 1; no biases, norms)
  double n_matrix =
      0;  // n_nonemb + head V C, tied or not: what every token is multiplied with; the headline N
  double n_total = 0;  // every number that is trained: embeddings, biases, norms too; a tied head counts once
};
ParameterCounts count_parameters(const ModelConfig& config);

// Operations of forward and backward, per token; a multiplication and an addition count as two. Backward of a
// product is two products. Norms, GELU, softmax and the optimiser are left out everywhere: O(C) against O(C^2).
struct FlopCounts {
  double kaplan = 0;  // 6 n_nonemb
  double n6d = 0;     // 6 n_total
  double math = 0;    // 6 n_matrix + 6 L T C: attention counted as its causal half. The C of our fits.
  double mfu = 0;     // 6 n_matrix + 12 L T C: attention counted full, for comparisons of speed only
};
FlopCounts count_flops_per_token(const ModelConfig& config);

}  // namespace loglog::model
