// Parameters and floating-point operations, under every convention that scaling laws are quoted in. All of them are sums over
// one ledger, which has a line for every part of a model.
#pragma once
#include <string>
#include <vector>

#include "model/config.hpp"

namespace loglog::model {

// What the factors of a product are.
enum class Factors {
  block_weight,  // activations, and a matrix of a block
  head_weight,   // activations, and the matrix of the vocabulary
  activations,   // of queries and keys, or of attention's weights and values
  none           // no product: rows of an embedding, gains, biases
};

// A line of the ledger. Per token of a training step, a multiplication and an addition counting as two, of
//   out = left right,   d_left = d_out right^T,   d_right = left^T d_out
// and where both factors are activations per token and key that it meets. Norms, activation functions, softmax, sums of the stream
// and the optimiser have no line: O(C) against O(C^2).
struct Operation {
  std::string
      name;  // of the parameter, without the number of its block; "attention.scores", "attention.mixed"
  Factors factors = Factors::none;
  double times = 1;       // that the model has it: L in a block
  double parameters = 0;  // numbers that are trained here; of a tied head none
  double forward = 0, d_left = 0, d_right = 0;
};
std::vector<Operation> list_operations(const ModelConfig& config);

// Keys that a token meets in attention, the mean over a sequence by the mask: T/2 where it is causal. Windows of packed documents
// count as whole sequences.
double keys_met(const ModelConfig& config);

struct ParameterCounts {
  double n_nonemb = 0;  // of the matrices in blocks (Kaplan et al. 2020, table 1: no biases, norms)
  double n_matrix = 0;  // and the head's V C, tied or not: what a token is multiplied with; the headline N
  double n_total = 0;  // every number that is trained: embeddings, biases, norms too; a tied head counts once
};
ParameterCounts count_parameters(const ModelConfig& config);

// Of forward and backward, per token.
struct FlopCounts {
  double kaplan = 0;  // products with matrices in blocks: 6 n_nonemb
  double n6d = 0;     // as if every parameter were in one product: 6 n_total
  double math = 0;    // every product, attention with the keys that the mask leaves. The C of our fits.
  double mfu = 0;     // the same with all T keys, for comparisons of speed only
};
FlopCounts count_flops_per_token(const ModelConfig& config);

}  // namespace loglog::model
