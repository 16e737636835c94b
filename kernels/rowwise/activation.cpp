#include "kernels/rowwise/activation.hpp"

#include "kernels/rowwise/rows.hpp"

namespace loglog::kernels {
namespace {

const ActivationTiles& tiles_of(const ExecContext& ctx, Activation act) {
  const Rowwise& rowwise = *ctx.kernels.rowwise;
  switch (act) {
    case Activation::relu:
      return rowwise.relu;
    case Activation::gelu:
      return rowwise.gelu;
    case Activation::silu:
      return rowwise.silu;
  }
  LOGLOG_CHECK(false, "activation {} does not exist", static_cast<int>(act));
  return rowwise.relu;
}

}  // namespace

void activation_forward(ExecContext& ctx, Activation act, MatrixRef out, ConstMatrixRef in) {
  check_shape("out", out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  const auto forward = tiles_of(ctx, act).forward;
  const Stores stores = stores_for(out, in.data);
  for_pieces(ctx, in.rows, in.cols,
             [&](Index r, Index n) { forward(rows_of(out, r, n), rows_of(in, r, n), stores); });
}

void activation_backward(ExecContext& ctx, Activation act, MatrixRef d_in, ConstMatrixRef d_out,
                         ConstMatrixRef in) {
  check_shape("d_in", d_in, in.rows, in.cols);
  check_shape("d_out", d_out, in.rows, in.cols);
  check_shape("in", in, in.rows, in.cols);
  const auto backward = tiles_of(ctx, act).backward;
  const Stores stores = stores_for(d_in, d_out.data, in.data);
  for_pieces(ctx, in.rows, in.cols, [&](Index r, Index n) {
    backward(rows_of(d_in, r, n), rows_of(d_out, r, n), rows_of(in, r, n), stores);
  });
}

void gated_forward(ExecContext& ctx, Activation act, MatrixRef out, ConstMatrixRef gate, ConstMatrixRef up) {
  check_shape("out", out, gate.rows, gate.cols);
  check_shape("gate", gate, gate.rows, gate.cols);
  check_shape("up", up, gate.rows, gate.cols);
  const auto forward = tiles_of(ctx, act).gated_forward;
  const Stores stores = stores_for(out, gate.data, up.data);
  for_pieces(ctx, gate.rows, gate.cols, [&](Index r, Index n) {
    forward(rows_of(out, r, n), rows_of(gate, r, n), rows_of(up, r, n), stores);
  });
}

void gated_backward(ExecContext& ctx, Activation act, MatrixRef d_gate, MatrixRef d_up, ConstMatrixRef d_out,
                    ConstMatrixRef gate, ConstMatrixRef up) {
  check_shape("d_gate", d_gate, gate.rows, gate.cols);
  check_shape("d_up", d_up, gate.rows, gate.cols);
  check_shape("d_out", d_out, gate.rows, gate.cols);
  check_shape("gate", gate, gate.rows, gate.cols);
  check_shape("up", up, gate.rows, gate.cols);
  const auto backward = tiles_of(ctx, act).gated_backward;
  // In place with one of the two, the other's lines may still be worth streaming; one rule for both is simpler.
  const bool streamed = stores_for(d_gate, d_out.data, gate.data, up.data) == Stores::streamed &&
                        stores_for(d_up, d_out.data, gate.data, up.data) == Stores::streamed;
  const Stores stores = streamed ? Stores::streamed : Stores::cached;
  for_pieces(ctx, gate.rows, gate.cols, [&](Index r, Index n) {
    backward(rows_of(d_gate, r, n), rows_of(d_up, r, n), rows_of(d_out, r, n), rows_of(gate, r, n),
             rows_of(up, r, n), stores);
  });
}

}  // namespace loglog::kernels
