// What every layer of a model is.
//
// A model is a list of layers that hand a residual stream (B*T, C) on: the first makes it from tokens, the
// last turns it into losses. Forward walks the list, backward walks it in reverse.
//
// Gradient rule, for every function of nn: gradients of parameters accumulate (+=), gradients of activations
// are overwritten (=); a residual join adds explicitly.
#pragma once
#include "kernels/exec.hpp"
#include "kernels/rowwise/token.hpp"
#include "tensor/tensor.hpp"

namespace loglog::nn {

using kernels::ExecContext;
using kernels::Token;
using tensor::ConstMatrixView;
using tensor::Index;
using tensor::MatrixView;
using tensor::Parameter;
using tensor::ParameterVisitor;
using tensor::SavedVisitor;

struct BatchShape {
  Index batch = 0;  // B, sequences
  Index time = 0;   // T, tokens of each
  Index rows() const { return batch * time; }
};

// One micro-batch. tokens, targets and losses have B*T entries, sequence after sequence. losses are in nats;
// `scale` multiplies the sum of losses whose gradient backward computes. Without `backward`, nothing is kept for it.
struct Batch {
  BatchShape shape;
  const Token* tokens = nullptr;
  const Token* targets = nullptr;
  float* losses = nullptr;
  float scale = 1.0f;
  bool backward = false;
};

class Layer {
 public:
  virtual ~Layer() = default;
  // The one list of parameters, and the one of what forward keeps for backward.
  virtual void visit_parameters(const ParameterVisitor& v) = 0;
  virtual void visit_saved(BatchShape shape, const SavedVisitor& v) = 0;
  // Bytes that forward and backward take from ctx.scratch, the kernels they call included.
  virtual std::size_t scratch_bytes(const kernels::KernelTable& table, int threads,
                                    BatchShape shape) const = 0;
  // out = f(in). The first layer ignores `in`, the last leaves `out` alone. `in` stays unchanged until backward.
  virtual void forward(ExecContext& ctx, const Batch& batch, MatrixView out, ConstMatrixView in) = 0;
  // d_in = f'(in)^T d_out. d_in is never d_out. The first layer ignores d_in, the last ignores d_out.
  virtual void backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView d_out,
                        ConstMatrixView in) = 0;
};

}  // namespace loglog::nn
