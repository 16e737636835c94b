// Attention has no peer among the libraries: it is compared with our own product of float32.
#include "kernels/attention.hpp"

#include <chrono>

#include "bench/operands.hpp"
#include "bench/peers/sections.hpp"
#include "kernels/gemm.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

struct AttentionOperands {
  AttentionShape shape;
  Index rows = shape.batch * shape.time, width = shape.heads * shape.head_size;
  Buffer<float> qkv{3 * rows * width}, d_qkv{3 * rows * width}, out{rows * width}, d_out{rows * width},
      lse{rows * shape.heads};

  explicit AttentionOperands(const AttentionShape& s) : shape(s) {
    for (Index e = 0; e < qkv.count(); ++e) qkv.data()[e] = static_cast<float>(small_value(e)) / 8.0f;
    for (Index e = 0; e < d_out.count(); ++e) d_out.data()[e] = static_cast<float>(small_value(e)) / 8.0f;
  }
  MatrixRef part(const Buffer<float>& x, Index which) const {
    return MatrixRef(x.data(), rows, 3 * width).columns(which * width, width);
  }
  void forward_and_backward(ExecContext& ctx) const {
    const MatrixRef o(out.data(), rows, width), d_o(d_out.data(), rows, width);
    attention_forward(ctx, o, lse.data(), part(qkv, 0), part(qkv, 1), part(qkv, 2), shape);
    attention_backward(ctx, part(d_qkv, 0), part(d_qkv, 1), part(d_qkv, 2), d_o, part(qkv, 0), part(qkv, 1),
                       part(qkv, 2), o, lse.data(), shape);
  }
  // Of the causal half: 2 products forward, 5 backward, T (T + 1) / 2 pairs, D multiply-adds each.
  double flops() const {
    return 7.0 *
           static_cast<double>(shape.batch * shape.heads * shape.time * (shape.time + 1) * shape.head_size);
  }
};

// What 1024 cubed reaches, one call.
double gemm_rate(const Session& session) {
  const GemmShape s = {"", 1024, 1024, 1024};
  const Operands<float> operands(s);
  const Buffer<float> c(s.m * s.n);
  Scratch scratch(gemm_scratch_bytes(session.table, session.threads, s.m, s.n, s.k));
  ExecContext ctx{session.table, session.threads, scratch};
  const auto once = [&] { gemm(ctx, operands.a(), operands.b(), MatrixRef(c.data(), s.m, s.n)); };
  return hold({s.flops(), {{"", true, once}}, {}}, {1, session.rounds.seconds, session.rounds.processor_time})
      .ours()
      .per_round.front();
}

}  // namespace

Section measure_attention(Session& session) {
  Section section{"attention", "attention, forward and backward", "GFLOP/s", "f32 gemm, 1024 cubed", {}, {}};
  section.requirements = {{Measure::share, [](const Row&) { return true; }, 0.55, 0.55, ""}};
  for (const Index time : session.quick ? std::vector<Index>{1024} : std::vector<Index>{1024, 4096}) {
    const AttentionShape shape = {4, time, 8, 64};
    const AttentionOperands operands(shape);
    Scratch scratch(attention_scratch_bytes(session.table, session.threads, shape));
    ExecContext ctx{session.table, session.threads, scratch};
    Contest contest{operands.flops(), {{"loglog", true, [&] { operands.forward_and_backward(ctx); }}}, [&] {
                      return gemm_rate(session);
                    }};
    section.rows.push_back(
        {"f32", fmt::format("B 4 H 8 d 64 T {} f32", time), hold(contest, session.rounds), {}});
  }
  return section;
}

}  // namespace loglog::bench
