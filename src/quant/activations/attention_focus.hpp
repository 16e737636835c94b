// How much of its attention a head gives to one token.
//
//   top-1 = mean over queries of max_s P[t,s]      Dettmers et al. 2022, section 4.2
//   sink  = mean over queries of P[t,0]            the first token of the sequence: Xiao et al. 2023, "attention sinks"
//
// Queries that see a single key, whose share is 1 whatever the model does, are left out. P = exp(q k / sqrt(D) - lse) is computed in
// float32, also where the model's own scores are products of bfloat16: then the shares of a query need not sum to 1 in the last bits.
#pragma once
#include <map>
#include <vector>

#include "nn/probe.hpp"
#include "quant/activations/spot.hpp"

namespace loglog::quant {

struct HeadFocus {
  double top1 = 0, sink = 0;  // sums over queries
  std::uint64_t queries = 0;
};

// Sums run over sequences and queries in their order: no bit depends on how many come at once, or on threads.
class AttentionFocus {
 public:
  void add(kernels::ExecContext& ctx, Index layer, const nn::SeenAttention& seen);

  const std::map<Index, std::vector<HeadFocus>>& layers() const { return layers_; }  // heads of each
  // Means over queries, heads and layers; NaN where there are none.
  double top1() const;
  double sink() const;

 private:
  struct Head;
  void add_head(kernels::ExecContext& ctx, const Head& head, HeadFocus& sums);

  std::map<Index, std::vector<HeadFocus>> layers_;
  kernels::Scratch scratch_;
  std::vector<float> queries_, keys_, scores_;
};

// Of the heads of one layer: the mean of their means.
double mean_top1(const std::vector<HeadFocus>& heads);
double mean_sink(const std::vector<HeadFocus>& heads);

}  // namespace loglog::quant
