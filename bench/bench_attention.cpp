#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "bench/suites.hpp"
#include "kernels/attention.hpp"
#include "kernels/reference/attention.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

// Tiny models of the sweeps, the character model of nanoGPT, the sizes of design section 10, GPT-2.
constexpr AttentionShape kShapes[] = {
    {16, 128, 2, 16}, {12, 64, 4, 32}, {16, 256, 6, 64}, {1, 1024, 12, 64}, {4, 256, 4, 128}};

struct Operands {
  AttentionShape shape;
  Index rows = shape.batch * shape.time, width = shape.heads * shape.head_size;
  std::vector<float> qkv = normal(3), d_qkv = normal(3), out = normal(1), d_out = normal(1),
                     lse = std::vector<float>(static_cast<std::size_t>(rows * shape.heads));

  std::vector<float> normal(Index parts) const {
    std::vector<float> x(static_cast<std::size_t>(parts * rows * width));
    std::uint32_t bits = 1;
    for (float& v : x) {
      bits = bits * 1664525u + 1013904223u;
      v = static_cast<float>(bits >> 8) * 0x1p-23f - 1.0f;
    }
    return x;
  }
  MatrixRef part(std::vector<float>& x, Index which) {
    return MatrixRef(x.data(), rows, 3 * width).columns(which * width, width);
  }
  void forward(ExecContext& ctx) {
    attention_forward(ctx, {out.data(), rows, width}, lse.data(), part(qkv, 0), part(qkv, 1), part(qkv, 2),
                      shape);
  }
  void backward(ExecContext& ctx) {
    attention_backward(ctx, part(d_qkv, 0), part(d_qkv, 1), part(d_qkv, 2), {d_out.data(), rows, width},
                       part(qkv, 0), part(qkv, 1), part(qkv, 2), {out.data(), rows, width}, lse.data(),
                       shape);
  }

  // The first head against float64: a fast wrong kernel has no rate.
  bool is_correct() {
    const Index time = shape.time, size = shape.head_size;
    std::vector<double> head[3], expected(static_cast<std::size_t>(time * size)),
        sums(static_cast<std::size_t>(time));
    for (Index which = 0; which < 3; ++which)
      for (Index t = 0; t < time; ++t)
        for (Index d = 0; d < size; ++d) head[which].push_back(part(qkv, which).row(t)[d]);
    reference::attention_ref(expected.data(), sums.data(), head[0].data(), head[1].data(), head[2].data(),
                             time, size);
    // Inputs are in -1..1, so A <= sqrt(D).
    const double scores = std::sqrt(static_cast<double>(size));
    const double bound =
        2 * (static_cast<double>(time + 16) + static_cast<double>(size + 8) * scores) * 0x1p-24;
    for (Index t = 0; t < time; ++t)
      for (Index d = 0; d < size; ++d)
        if (!(std::abs(out[t * width + d] - expected[t * size + d]) <= bound)) return false;
    return true;
  }
};

// Multiply-adds of the causal half: 2 products forward, 5 backward, T (T+1) / 2 pairs, D each.
double flops(const AttentionShape& s, int products) {
  return static_cast<double>(s.batch * s.heads * s.time * (s.time + 1) * s.head_size * products);
}

void run(benchmark::State& state, const KernelTable& table, int threads, const AttentionShape& shape,
         bool backward) {
  Operands operands{shape};
  Scratch scratch(attention_scratch_bytes(table, threads, shape));
  ExecContext ctx{table, threads, scratch};
  operands.forward(ctx);
  if (!operands.is_correct()) return state.SkipWithError("wrong result");
  PeakShare share(table, threads);
  for (auto _ : state) {
    if (backward) {
      operands.backward(ctx);
    } else {
      operands.forward(ctx);
    }
    benchmark::ClobberMemory();
  }
  share.report(state, flops(shape, backward ? 5 : 2));
}

}  // namespace

void register_attention(const Machine& machine) {
  for (const int threads : {1, machine.threads}) {
    for (const AttentionShape& s : kShapes) {
      for (const bool backward : {false, true}) {
        add(fmt::format("attention_{}/{}/B:{}/T:{}/H:{}/D:{}/threads:{}", backward ? "backward" : "forward",
                        machine.table.name, s.batch, s.time, s.heads, s.head_size, threads),
            [=, &table = machine.table](benchmark::State& state) {
              run(state, table, threads, s, backward);
            });
      }
    }
    if (machine.threads == 1) break;
  }
}

}  // namespace loglog::bench
