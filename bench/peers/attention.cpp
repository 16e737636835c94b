// Attention has no peer among the libraries: it is compared with our own product of float32.
#include "kernels/attention.hpp"

#include <chrono>

#include "bench/attention_gradients.hpp"
#include "bench/operands.hpp"
#include "bench/peers/sections.hpp"
#include "kernels/gemm.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

template <class T>
struct AttentionOperands {
  AttentionShape shape;
  Index rows = shape.batch * shape.time, width = shape.heads * shape.head_size;
  Buffer<T> qkv{3 * rows * width}, d_qkv{3 * rows * width}, out{rows * width}, d_out{rows * width};
  Buffer<float> lse{rows * shape.heads};

  explicit AttentionOperands(const AttentionShape& s) : shape(s) {
    fill(qkv);
    fill(d_out);
  }
  static void fill(const Buffer<T>& x) {
    for (Index e = 0; e < x.count(); ++e) {
      const float value = static_cast<float>(small_value(e)) / 8.0f;
      if constexpr (std::is_same_v<T, bf16>) {
        x.data()[e] = to_bf16(value);
      } else {
        x.data()[e] = value;
      }
    }
  }
  Matrix<T> part(const Buffer<T>& x, Index which) const {
    return Matrix<T>(x.data(), rows, 3 * width).columns(which * width, width);
  }
  void forward_and_backward(ExecContext& ctx) const {
    const Matrix<T> o(out.data(), rows, width), d_o(d_out.data(), rows, width);
    attention_forward(ctx, o, lse.data(), part(qkv, 0), part(qkv, 1), part(qkv, 2), shape);
    attention_backward(ctx, part(d_qkv, 0), part(d_qkv, 1), part(d_qkv, 2), d_o, part(qkv, 0), part(qkv, 1),
                       part(qkv, 2), o, lse.data(), shape);
  }
};

template <class T>
bool is_correct(const AttentionOperands<T>& x) {
  const AttentionPass<T> pass = {
      x.part(x.qkv, 0),   x.part(x.qkv, 1),   x.part(x.qkv, 2),   {x.out.data(), x.rows, x.width},
      x.part(x.d_qkv, 0), x.part(x.d_qkv, 1), x.part(x.d_qkv, 2), {x.d_out.data(), x.rows, x.width}};
  return pass.gradients_agree();
}

// The mean square of the difference is a small part of that of b.
bool is_close(const Buffer<bf16>& a, const Buffer<float>& b) {
  double differences = 0, squares = 0;
  for (Index e = 0; e < b.count(); ++e) {
    const double exact = b.data()[e], d = real(a.data()[e]) - exact;
    differences += d * d;
    squares += exact * exact;
  }
  return differences <= 0x1p-12 * squares;
}

// Of the causal half: 2 products forward, 4 backward, T^2 / 2 pairs, D multiply-adds each. That backward makes the scores
// again is its own affair.
double flops_of(const AttentionShape& s) {
  return 6.0 * static_cast<double>(s.batch * s.heads * s.time * s.time * s.head_size);
}

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
  section.requirements = {{Measure::share, [](const Row& row) { return row.set == "f32"; }, 0.55, 0.55, ""},
                          {Measure::ratio, [](const Row& row) { return row.set == "bf16"; }, 2.0, 2.0, ""}};
  for (const Index time : session.quick ? std::vector<Index>{1024} : std::vector<Index>{1024, 4096}) {
    const AttentionShape shape = {4, time, 8, 64};
    const AttentionOperands<float> f32(shape);
    const AttentionOperands<bf16> half(shape);
    Scratch scratch(attention_scratch_bytes(session.table, session.threads, shape));
    ExecContext ctx{session.table, session.threads, scratch};
    f32.forward_and_backward(ctx);
    half.forward_and_backward(ctx);
    if (!is_correct(f32)) session.disagreements.push_back("loglog, attention of float32");
    if (!is_correct(half) || !is_close(half.out, f32.out) || !is_close(half.d_qkv, f32.d_qkv))
      session.disagreements.push_back("loglog, attention of bfloat16");
    const Contestant ours = {"loglog", true, [&] { f32.forward_and_backward(ctx); }};
    Contest contest{flops_of(shape), {ours}, [&] { return gemm_rate(session); }};
    const std::string text = fmt::format("B 4 H 8 d 64 T {}", time);
    section.rows.push_back({"f32", text + " f32", hold(contest, session.rounds), {}});
    contest.contestants = {{"loglog", true, [&] { half.forward_and_backward(ctx); }},
                           {"loglog f32", true, ours.run}};
    section.rows.push_back({"bf16", text + " bf16", hold(contest, session.rounds), {}});
  }
  return section;
}

}  // namespace loglog::bench
