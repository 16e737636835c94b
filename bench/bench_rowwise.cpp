#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <vector>

#include "bench/suites.hpp"
#include "kernels/rowwise.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

struct Shape {
  Index rows, cols;
};

// (B*T, C) of small transformers, and their logits.
constexpr Shape kShapes[] = {{2048, 64}, {768, 128}, {4096, 384}};
constexpr Shape kLogits[] = {{2048, 256}, {768, 65}};
constexpr Index kParameters = 1 << 20;

std::vector<float> values(Index count, float offset = 0.0f) {
  std::vector<float> x(static_cast<std::size_t>(count));
  std::uint32_t bits = 1;
  for (float& v : x) {
    bits = bits * 1664525u + 1013904223u;
    v = offset + static_cast<float>(bits >> 8) * 0x1p-23f - 1.0f;
  }
  return x;
}

// Everything that a row kernel may want, and what it costs to move.
struct Operands {
  Index rows, cols;
  std::vector<float> in = values(rows * cols), d_out = values(rows * cols), gain = values(cols),
                     bias = values(cols);
  std::vector<float> out = in, d_in = in, mean = values(rows), rstd = values(rows, 2.0f), losses = mean;
  std::vector<float> moment = values(rows * cols), square = values(rows * cols, 2.0f);
  std::vector<Token> targets = std::vector<Token>(static_cast<std::size_t>(rows), 0);
  MatrixRef matrix(std::vector<float>& x) { return {x.data(), rows, cols}; }
};

// One kernel, the matrices of (rows, cols) floats that it reads and writes.
struct Suite {
  const char* name;
  double matrices;
  std::function<void(ExecContext&, Operands&)> call;
};

void add_suite(const Machine& machine, const Suite& suite, Shape s, int threads) {
  const KernelTable& table = machine.table;
  add(fmt::format("{}/{}/R:{}/C:{}/threads:{}", suite.name, table.name, s.rows, s.cols, threads),
      [=, &table](benchmark::State& state) {
        Operands operands{s.rows, s.cols};
        Scratch scratch(rowwise_scratch_bytes(table, threads, s.rows, s.cols));
        ExecContext ctx{table, threads, scratch};
        suite.call(ctx, operands);
        for (const float v : operands.out) {
          if (!std::isfinite(v)) return state.SkipWithError("wrong result");
        }
        for (auto _ : state) {
          suite.call(ctx, operands);
          benchmark::ClobberMemory();
        }
        const double elements =
            static_cast<double>(s.rows * s.cols) * static_cast<double>(state.iterations());
        state.counters["elements/s"] = benchmark::Counter(elements, benchmark::Counter::kIsRate);
        state.counters["bytes/s"] =
            benchmark::Counter(elements * suite.matrices * sizeof(float), benchmark::Counter::kIsRate);
      });
}

}  // namespace

void register_rowwise(const Machine& machine) {
  const Suite suites[] = {
      {"layernorm_forward", 2,
       [](ExecContext& ctx, Operands& o) {
         layernorm_forward(ctx, o.matrix(o.out), o.mean.data(), o.rstd.data(), o.matrix(o.in), o.gain.data(),
                           o.bias.data(), 1e-5f);
       }},
      {"layernorm_backward", 3,
       [](ExecContext& ctx, Operands& o) {
         layernorm_backward(ctx, o.matrix(o.d_in), o.bias.data(), nullptr, o.matrix(o.d_out), o.matrix(o.in),
                            o.mean.data(), o.rstd.data(), o.gain.data());
       }},
      {"gelu_forward", 2,
       [](ExecContext& ctx, Operands& o) { gelu_forward(ctx, o.matrix(o.out), o.matrix(o.in)); }},
      {"gelu_backward", 3,
       [](ExecContext& ctx, Operands& o) {
         gelu_backward(ctx, o.matrix(o.d_in), o.matrix(o.d_out), o.matrix(o.in));
       }},
  };
  const Suite cross_entropy = {"cross_entropy", 2, [](ExecContext& ctx, Operands& o) {
                                 cross_entropy_forward_backward(ctx, o.losses.data(), o.matrix(o.out),
                                                                o.matrix(o.in), o.targets.data(), 1.0f);
                               }};
  const Suite optimiser = {"adamw", 7, [](ExecContext& ctx, Operands& o) {
                             adamw(ctx, o.in.data(), o.moment.data(), o.square.data(), o.d_out.data(),
                                   o.rows * o.cols, {.lr = 1e-6f, .step = 10});
                           }};
  for (const int threads : {1, machine.threads}) {
    for (const Suite& suite : suites)
      for (const Shape s : kShapes) add_suite(machine, suite, s, threads);
    for (const Shape s : kLogits) add_suite(machine, cross_entropy, s, threads);
    add_suite(machine, optimiser, {1, kParameters}, threads);
    if (machine.threads == 1) break;
  }
}

}  // namespace loglog::bench
