// Products of bfloat16 and int8 with weights that were packed before; share_of_peak is of the float32 peak.
#include <fmt/format.h>

#include <vector>

#include "bench/suites.hpp"
#include "kernels/gemm_bf16.hpp"
#include "kernels/gemm_s8.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

struct Shape {
  Index m, n, k;
};

constexpr Shape kShapes[] = {{256, 256, 256},    {512, 512, 512}, {1024, 1024, 1024},
                             {2048, 2048, 2048}, {768, 512, 128}, {768, 128, 512},
                             {8192, 1536, 384},  {1, 4096, 4096}, {8, 4096, 4096}};

// -8 .. 7, so that sums of either type are exact and can be compared without a bound.
int small_value(Index e) {
  return static_cast<int>(static_cast<std::uint32_t>(e) * 2654435761u >> 28) - 8;
}

template <class T>
std::vector<T> small_values(Index count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (Index e = 0; e < count; ++e) {
    if constexpr (sizeof(T) == 1)
      values[e] = static_cast<T>(small_value(e));
    else
      values[e] = to_bf16(static_cast<float>(small_value(e)));
  }
  return values;
}

// multiply(ctx, a, b packed, c) of one type.
template <class T, class Sum, class Multiply>
void run(benchmark::State& state, const KernelTable& table, int threads, const Shape& s,
         std::size_t scratch_bytes, Multiply&& multiply) {
  const std::vector<T> a = small_values<T>(s.m * s.k), b = small_values<T>(s.k * s.n);
  std::vector<Sum> c(static_cast<std::size_t>(s.m * s.n));
  const PackedMatrix<T> weights(table, ConstMatrix<T>(b.data(), s.k, s.n));
  Scratch scratch(scratch_bytes);
  ExecContext ctx{table, threads, scratch};
  const auto once = [&] {
    multiply(ctx, ConstMatrix<T>(a.data(), s.m, s.k), weights, Matrix<Sum>(c.data(), s.m, s.n));
  };
  once();
  for (Index e = 0; e < 64; ++e) {  // a fast wrong kernel has no rate
    const Index i = e * 7919 % s.m, j = e * 104729 % s.n;
    Index sum = 0;
    for (Index p = 0; p < s.k; ++p) sum += small_value(i * s.k + p) * small_value(p * s.n + j);
    if (c[i * s.n + j] != static_cast<Sum>(sum)) return state.SkipWithError("wrong result");
  }
  PeakShare share(table, threads);
  for (auto _ : state) {
    once();
    benchmark::ClobberMemory();
  }
  share.report(state, 2.0 * static_cast<double>(s.m * s.n * s.k));
}

}  // namespace

void register_gemm_packed(const Machine& machine) {
  for (const Shape& s : kShapes) {
    for (int threads = 1; threads <= machine.threads; ++threads) {
      const KernelTable& table = machine.table;
      const std::string rest =
          fmt::format("/{}/M:{}/N:{}/K:{}/threads:{}", table.name, s.m, s.n, s.k, threads);
      add("gemm_bf16" + rest, [=, &table](benchmark::State& state) {
        run<bf16, float>(state, table, threads, s,
                         gemm_bf16_scratch_bytes(table, threads, s.m, s.n, s.k, Weights::packed),
                         [](ExecContext& ctx, auto a, const auto& b, auto c) { gemm_bf16(ctx, a, b, c); });
      });
      add("gemm_s8" + rest, [=, &table](benchmark::State& state) {
        run<std::int8_t, std::int32_t>(
            state, table, threads, s, gemm_s8_scratch_bytes(table, threads, s.m, s.n, s.k, Weights::packed),
            [](ExecContext& ctx, auto a, const auto& b, auto c) { gemm_s8(ctx, a, b, c); });
      });
    }
  }
}

}  // namespace loglog::bench
