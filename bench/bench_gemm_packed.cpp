// Products of bfloat16 and int8 with weights that were packed before; share_of_peak is of the ceiling of their own type.
#include <fmt/format.h>

#include <vector>

#include "bench/operands.hpp"
#include "bench/suites.hpp"
#include "kernels/gemm_bf16.hpp"
#include "kernels/gemm_s8.hpp"
#include "kernels/peak.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

// multiply(ctx, a, b packed, c) of one type.
template <class T, class Sum, class Multiply>
void run(benchmark::State& state, const KernelTable& table, int threads, const GemmShape& s,
         std::size_t scratch_bytes, PeakShare::Sample peak, Multiply&& multiply) {
  const Operands<T> operands(s);
  const Buffer<Sum> result(s.m * s.n);
  const PackedMatrix<T> weights(table, operands.b());
  Scratch scratch(scratch_bytes);
  ExecContext ctx{table, threads, scratch};
  const auto once = [&] { multiply(ctx, operands.a(), weights, Matrix<Sum>(result.data(), s.m, s.n)); };
  once();
  if (!operands.is_product(result.data())) return state.SkipWithError("wrong result");
  PeakShare share(table, threads, peak);
  for (auto _ : state) {
    once();
    benchmark::ClobberMemory();
  }
  share.report(state, s.flops());
}

void add_bf16(const Machine& machine, const GemmShape& s, int threads, const std::string& rest) {
  add("gemm_bf16" + rest, [=, &table = machine.table](benchmark::State& state) {
    run<bf16, float>(state, table, threads, s,
                     gemm_bf16_scratch_bytes(table, threads, s.m, s.n, s.k, Weights::packed),
                     sample_dot_bf16_flops,
                     [](ExecContext& ctx, auto a, const auto& b, auto c) { gemm_bf16(ctx, a, b, c); });
  });
}

void add_s8(const Machine& machine, const GemmShape& s, int threads, const std::string& rest) {
  add("gemm_s8" + rest, [=, &table = machine.table](benchmark::State& state) {
    run<std::int8_t, std::int32_t>(
        state, table, threads, s, gemm_s8_scratch_bytes(table, threads, s.m, s.n, s.k, Weights::packed),
        sample_dot_s8_ops, [](ExecContext& ctx, auto a, const auto& b, auto c) { gemm_s8(ctx, a, b, c); });
  });
}

}  // namespace

void register_gemm_packed(const Machine& machine) {
  constexpr std::size_t kWeightBytes = 64 << 20;
  const auto add_all = [&](auto&& add_type, std::vector<GemmShape> shapes, std::size_t element_bytes) {
    for (const Index m : {1, 8}) shapes.push_back(few_rows_shape(m, kWeightBytes, element_bytes));
    for (const GemmShape& s : shapes) {
      for (int threads = 1; threads <= machine.threads; ++threads) {
        add_type(machine, s, threads,
                 fmt::format("{}/{}/M:{}/N:{}/K:{}/threads:{}", kLayoutNames[static_cast<int>(s.layout)],
                             machine.table.name, s.m, s.n, s.k, threads));
      }
    }
  };
  std::vector<GemmShape> shapes = cube_shapes();
  for (const GemmShape& s : training_shapes())
    if (s.layout != Layout::tn) shapes.push_back(s);  // the gradient of weights has none for a factor
  add_all(add_bf16, shapes, sizeof(bf16));
  std::erase_if(shapes, [](const GemmShape& s) { return s.layout != Layout::nn; });  // int8 does not train
  add_all(add_s8, shapes, sizeof(std::int8_t));
}

}  // namespace loglog::bench
