// Products of float32 matrices in int8, quantisation of X included, weights quantised before; share_of_peak is of the int8
// ceiling. And that quantisation alone, in bytes of X read and of int8 written.
#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "bench/llm_int8.hpp"
#include "bench/suites.hpp"
#include "kernels/peak.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

struct Variant {
  const char* name;
  Int8Options options;
};
// Without a threshold, outliers set the scales: what LLM.int8() costs beside that.
const Variant kVariants[] = {
    {"absmax", {}},
    {"zeropoint", {.scheme = {Int8Range::zeropoint, Int8Scope::vector}}},
    {"tensor", {.scheme = {Int8Range::absmax, Int8Scope::tensor}}},
    {"llm_int8", LlmInt8Operands::kOptions},
    {"llm_int8_columns", {.threshold = LlmInt8Operands::kOptions.threshold, .whole_columns = true}},
};

void product(benchmark::State& state, const KernelTable& table, int threads, const GemmShape& s,
             const Int8Options& options) {
  const LlmInt8Operands operands(s);
  const Int8Weights weights(table, operands.w(), options.scheme);
  const Buffer<float> c(s.m * s.n);
  Scratch scratch(gemm_int8_scratch_bytes(table, threads, s.m, s.n, s.k));
  ExecContext ctx{table, threads, scratch};
  const auto once = [&] { gemm_int8(ctx, operands.x(), weights, MatrixRef(c.data(), s.m, s.n), options); };
  once();
  if (!operands.is_product(c.data(), options)) return state.SkipWithError("wrong result");
  PeakShare share(table, threads, sample_dot_s8_ops);
  for (auto _ : state) {
    once();
    benchmark::ClobberMemory();
  }
  share.report(state, s.flops());
}

void quantisation(benchmark::State& state, const KernelTable& table, int threads, const GemmShape& s) {
  const LlmInt8Operands operands(s);
  const Buffer<std::int8_t> q(s.m * s.k);
  std::vector<float> scale(static_cast<std::size_t>(s.m)),
      limits(static_cast<std::size_t>(s.k), LlmInt8Operands::kOptions.threshold);
  std::vector<std::int32_t> zero(scale.size()), sum(scale.size());
  const QuantizedRows out = {{q.data(), s.m, s.k}, scale.data(), zero.data(), sum.data()};
  Scratch scratch(quantize_rows_scratch_bytes(threads));
  ExecContext ctx{table, threads, scratch};
  quantize_rows(ctx, out, operands.x(), {}, limits.data());
  for (Index e = 0; e < q.count(); e += 1009) {
    // Outliers stand apart, as 0; all others within half a step.
    const float x = operands.x().data[e];
    const float wrong = std::abs(x) >= LlmInt8Operands::kOptions.threshold
                            ? static_cast<float>(q.data()[e])
                            : x / scale[e / s.k] - static_cast<float>(q.data()[e]);
    if (!(std::abs(wrong) <= 0.5001f)) return state.SkipWithError("wrong result");
  }
  for (auto _ : state) {
    quantize_rows(ctx, out, operands.x(), {}, limits.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * s.m * s.k * 5);
}

}  // namespace

void register_int8(const Machine& machine) {
  const auto add_with_threads = [&](const std::string& name, auto&& body) {
    for (int threads = 1; threads <= machine.threads; ++threads) {
      add(fmt::format("{}/threads:{}", name, threads),
          [=, &table = machine.table](benchmark::State& state) { body(state, table, threads); });
    }
  };
  for (const GemmShape& s : {GemmShape{"", 1, 4096, 4096}, GemmShape{"", 512, 512, 512},
                             GemmShape{"", 512, 2048, 512}, GemmShape{"", 512, 4096, 4096}}) {
    for (const Variant& v : kVariants) {
      add_with_threads(
          fmt::format("gemm_int8/{}/{}/M:{}/N:{}/K:{}", v.name, machine.table.name, s.m, s.n, s.k),
          [=](benchmark::State& state, const KernelTable& table, int threads) {
            product(state, table, threads, s, v.options);
          });
    }
    add_with_threads(fmt::format("quantize_rows/{}/M:{}/K:{}", machine.table.name, s.m, s.k),
                     [=](benchmark::State& state, const KernelTable& table, int threads) {
                       quantisation(state, table, threads, s);
                     });
  }
}

}  // namespace loglog::bench
