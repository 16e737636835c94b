#include <fmt/format.h>

#include "bench/operands.hpp"
#include "bench/suites.hpp"
#include "kernels/gemm.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

void run(benchmark::State& state, const KernelTable& table, int threads, const GemmShape& s) {
  const Operands<float> operands(s);
  const Buffer<float> result(s.m * s.n);
  Scratch scratch(gemm_scratch_bytes(table, threads, s.m, s.n, s.k));
  ExecContext ctx{table, threads, scratch};
  const auto once = [&] { gemm(ctx, operands.a(), operands.b(), MatrixRef(result.data(), s.m, s.n)); };
  once();
  if (!operands.is_product(result.data())) return state.SkipWithError("wrong result");
  PeakShare share(table, threads);
  for (auto _ : state) {
    once();
    benchmark::ClobberMemory();
  }
  share.report(state, s.flops());
}

}  // namespace

void register_gemm(const Machine& machine) {
  constexpr std::size_t kWeightBytes = 64 << 20;
  std::vector<GemmShape> shapes = cube_shapes();
  for (const auto& set : {other_shapes(), training_shapes()})
    shapes.insert(shapes.end(), set.begin(), set.end());
  for (const Index m : {1, 8}) shapes.push_back(few_rows_shape(m, kWeightBytes, sizeof(float)));
  for (const GemmShape& shape : shapes) {
    for (int threads = 1; threads <= machine.threads; ++threads) {
      add(fmt::format("gemm_f32{}/{}/M:{}/N:{}/K:{}/threads:{}", kLayoutNames[static_cast<int>(shape.layout)],
                      machine.table.name, shape.m, shape.n, shape.k, threads),
          [=](benchmark::State& state) { run(state, machine.table, threads, shape); });
    }
  }
}

}  // namespace loglog::bench
