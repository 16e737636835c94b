// Multi-head self-attention with its input norm and output projection, joined to the residual stream:
//   out = residual + attention(norm(in) W_qkv + b_qkv) W_out + b_out
// Queries and keys may be normalised per head and turned by their positions first; keys and values may be fewer than queries.
#pragma once
#include <memory>
#include <vector>

#include "kernels/attention.hpp"
#include "kernels/rowwise/rotary.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"
#include "nn/sublayer.hpp"

namespace loglog::nn {

// Angles of all positions of a context, which the layers of a model share.
class RotaryAngles {
 public:
  // The first 2 * pairs elements of a head turn.
  RotaryAngles(Index context, Index pairs, double base, kernels::RotaryPairing pairing);
  kernels::Rotary of_heads(Index head_size) const;
  static std::size_t bytes(Index context, Index pairs);

 private:
  Index context_, pairs_;
  kernels::RotaryPairing pairing_;
  std::vector<float> cos_, sin_;  // (T, pairs)
};

struct AttentionConfig {
  Index width = 0;       // C
  Index heads = 0;       // H, divides C
  Index kv_heads = 0;    // of keys and values, divides H
  bool bias = true;      // of the output projection
  bool qkv_bias = true;  // of queries, keys and values
  bool qk_norm = false;  // RMSNorm with a gain over each head of queries and keys
  NormConfig norm;
  kernels::AttentionMask mask;
  std::shared_ptr<const RotaryAngles> rotary;  // null: none
  float weight_sd = 0.0f;                      // of the initial values
  float out_sd = 0.0f;  // and those of the projection that writes to the residual stream
  Products products;
  Index site = 0;   // where dropout has its random numbers from
  Index layer = 0;  // number of the block

  Index head_size() const { return width / heads; }
  Index kv_width() const { return kv_heads * head_size(); }
};

struct AttentionParams {
  NormParams norm;
  LinearParams qkv;           // (C, C + 2 kv_width): columns of queries, keys, values
  NormParams q_norm, k_norm;  // (head size)
  LinearParams out;           // (C, C)
};

struct AttentionSaved {
  NormSaved norm;
  FloatView normed;    // (B*T, C)
  FloatView qkv;       // (B*T, C + 2 kv_width), queries and keys as attention takes them
  FloatView raw;       // (B*T, C + kv_width), queries and keys before their norms, where they have any
  MatrixView qk_rstd;  // (1, (H + kv_heads)*B*T) head by head
  FloatView mixed;     // (B*T, C), before the output projection
  MatrixView lse;      // (1, B*H*T)
};

// Of the tokens so far, in sequences that go on.
struct AttentionMemory {
  kernels::KeyValueMatrix keys, values;  // (tokens of all sequences, kv_width) as attention takes them
};

class AttentionSublayer final : public Sublayer {
 public:
  explicit AttentionSublayer(AttentionConfig config);
  void visit_parameters(const ParameterVisitor& v) override;
  void visit_saved(BatchShape shape, const SavedVisitor& v) override;
  void visit_memory(const MemoryShape& shape, const MemoryVisitor& v) override;
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const override;
  void pack_weights(ExecContext& ctx) override;
  std::size_t packed_bytes(const kernels::KernelTable& table) const override;
  void forward(ExecContext& ctx, const Batch& batch, MatrixView out, MatrixView in,
               ConstMatrixView residual) override;
  void backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView d_out,
                ConstMatrixView d_residual, ConstMatrixView in) override;

 private:
  Index qkv_width() const { return config_.width + 2 * config_.kv_width(); }
  kernels::AttentionShape attention_shape(BatchShape shape,
                                          std::span<const kernels::AttentionSequence> sequences = {}) const;
  // Norms and rotation of queries and keys, on the columns [0, C + kv_width) of (B*T, ..); and back.
  void place_queries_and_keys(ExecContext& ctx, const Batch& batch);
  void place_backward(ExecContext& ctx, const Batch& batch, const FloatView& d_qk);
  // mixed = attention of the batch's queries, to its own keys or, where its sequences go on, to all that are remembered: its own
  // as well, so that these are to it what they will be to later tokens.
  void attend(ExecContext& ctx, const Batch& batch);
  // Tells the probe, and of what the output projection takes too.
  void show_attention(ExecContext& ctx, const Batch& batch) const;
  // call(first column, columns, norm, rstd) for every head of queries, then of keys.
  template <class Call>
  void for_heads(Index rows, Call&& call);

  AttentionConfig config_;
  AttentionParams params_;
  AttentionSaved saved_;
  AttentionMemory memory_;
};

}  // namespace loglog::nn
