// What every layer of a model is.
//
// A model is a list of layers that hand a residual stream (B*T, C) on: the first makes it from tokens, the
// last turns it into losses. Forward walks the list, backward walks it in reverse.
//
// Gradient rule, for every function of nn: gradients of parameters accumulate (+=), gradients of activations
// are overwritten (=); a residual join adds explicitly.
//
// Types: parameters, their gradients, the stream between layers and its gradients are float32. What a layer multiplies and
// keeps inside is of the type it was made with: float32, or bfloat16, then sums are still float32 and weights are rounded
// when they are packed (pack_weights).
#pragma once
#include <optional>
#include <span>

#include "kernels/attention.hpp"
#include "kernels/exec.hpp"
#include "kernels/rowwise/dropout.hpp"
#include "kernels/rowwise/token.hpp"
#include "nn/probe.hpp"
#include "tensor/tensor.hpp"

namespace loglog::nn {

using kernels::bf16;
using kernels::ExecContext;
using kernels::FloatType;
using kernels::KeyValueType;
using kernels::Token;
using tensor::ConstFloatView;
using tensor::ConstMatrixView;
using tensor::FloatView;
using tensor::Index;
using tensor::MatrixView;
using tensor::MemoryVisitor;
using tensor::Parameter;
using tensor::ParameterVisitor;
using tensor::SavedVisitor;

struct BatchShape {
  Index batch = 0;         // B, sequences
  Index time = 0;          // T, tokens of each
  bool documents = false;  // sequences may consist of several documents: room for any cuts of them
  Index rows() const { return batch * time; }
};

// What a model remembers of the tokens of all sequences together.
struct MemoryShape {
  Index rows = 0;  // tokens
  std::optional<KeyValueType> type =
      std::nullopt;  // of keys and values; absent: that of the model's products
};

// What a training step drops, and where its random numbers come from.
struct DropoutState {
  float rate = 0.0f;
  std::uint64_t seed = 0;  // of the run
  std::uint64_t step = 0;
  Index first_row = 0;  // of this micro-batch in the step's batch
};

// Documents that sequences consist of: attention stays inside one, and positions count from its first token.
struct Documents {
  std::span<const kernels::AttentionSequence>
      rows;  // in order, covering all B*T; empty: each sequence is one document
  const std::int32_t* positions = nullptr;  // (B*T), where there are rows
};

// One micro-batch. tokens, targets and losses have B*T entries, sequence after sequence. losses are in nats;
// `scale` multiplies the sum of losses whose gradient backward computes. Without `backward`, nothing is kept for it.
struct Batch {
  BatchShape shape;
  const Token* tokens = nullptr;
  const Token* targets = nullptr;
  const std::int32_t* positions = nullptr;  // (B*T) of each token in its sequence or document
  float* losses = nullptr;
  float scale = 1.0f;
  bool backward = false;
  float z_weight =
      0.0f;  // of the squared logsumexp in what backward differentiates (kernels/rowwise/cross_entropy.hpp)
  DropoutState dropout = {};                                   // without `backward` nothing is dropped
  std::span<const kernels::AttentionSequence> documents = {};  // Documents::rows

  // What only a model in use has; without `backward`.
  //
  // Rows are new tokens of sequences that go on: those of [query, query + queries) each, the last of its `keys` tokens, which
  // the layers remember in their rows from `key` on (Module::visit_memory). `shape` counts rows alone. Empty: nothing is
  // remembered.
  std::span<const kernels::AttentionSequence> continued = {};
  // Rows that the head looks at; empty: all. `targets` and `losses` have one entry, and `logits` a row, for each.
  std::span<const Index> head_rows = {};
  MatrixView logits = {};  // (head rows, V); where it has data, it is written and losses are not
  Probe* probe = nullptr;  // sees the pass

  bool drops() const { return backward && dropout.rate > 0.0f; }
  // Of one place in the model; each has a number of its own.
  kernels::Dropout dropout_at(Index site) const;
};

// What layers and the parts of a block have in common.
class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  // The one list of parameters, and the one of what forward keeps for backward.
  virtual void visit_parameters(const ParameterVisitor& v) = 0;
  virtual void visit_saved(BatchShape shape, const SavedVisitor& v) = 0;
  // The one list of what forward remembers of tokens for those that follow them in a sequence (Batch::continued). A token is a
  // row of each member, which may be copied to another row. What a pass reads of a token, its own included, is what is
  // remembered of it.
  virtual void visit_memory(const MemoryShape&, const MemoryVisitor&) {}
  // Bytes that forward and backward take from ctx.scratch, the kernels they call included.
  virtual std::size_t scratch_bytes(const kernels::KernelTable& table, int threads,
                                    BatchShape shape) const = 0;
  // Called after the parameters have changed and before the next forward, where they are kept in another form too. The first call
  // allocates; packed_bytes says how much there is of it.
  virtual void pack_weights(ExecContext&) {}
  virtual std::size_t packed_bytes(const kernels::KernelTable&) const { return 0; }
};

class Layer : public Module {
 public:
  // out = f(in). The first layer ignores `in`, the last leaves `out` alone. `in` stays unchanged until backward; a probe alone may
  // change it.
  virtual void forward(ExecContext& ctx, const Batch& batch, MatrixView out, MatrixView in) = 0;
  // d_in = f'(in)^T d_out. d_in is never d_out. The first layer ignores d_in, the last ignores d_out.
  virtual void backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView d_out,
                        ConstMatrixView in) = 0;
};

}  // namespace loglog::nn
