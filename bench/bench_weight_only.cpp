// Products of float32 activations with weights of 8 and 4 bits, beside float32 weights that were packed too; share_of_peak is of
// the float32 ceiling, bytes are those of the weights.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "bench/operands.hpp"
#include "bench/suites.hpp"
#include "kernels/weight_only.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

// Times multiply(ctx, c); weight(j) is column j of what it multiplies with.
template <class Multiply, class Column>
void measure(benchmark::State& state, const KernelTable& table, int threads, const GemmShape& s,
             const Operands<float>& operands, std::size_t weight_bytes, Multiply&& multiply,
             Column&& column) {
  const Buffer<float> c(s.m * s.n);
  Scratch scratch(std::max(gemm_weight_only_scratch_bytes(table, threads, s.m, s.n, s.k),
                           gemm_scratch_bytes(table, threads, s.m, s.n, s.k, Weights::packed)));
  ExecContext ctx{table, threads, scratch};
  const auto once = [&] { multiply(ctx, MatrixRef(c.data(), s.m, s.n)); };
  once();
  std::vector<float> w(static_cast<std::size_t>(s.k));
  for (Index e = 0; e < 16; ++e) {  // a few elements within the bound of gemm.hpp
    const Index i = e * 7919 % s.m, j = e * 104729 % s.n;
    column(w.data(), j);
    double sum = 0.0, absolute = 0.0;
    for (Index k = 0; k < s.k; ++k) {
      const double product = static_cast<double>(operands.a().row(i)[k]) * w[k];
      sum += product;
      absolute += std::abs(product);
    }
    const double bound = static_cast<double>(s.k + 2) * 0x1p-24 * absolute;
    if (!(std::abs(c.data()[i * s.n + j] - sum) <= bound)) return state.SkipWithError("wrong result");
  }
  PeakShare share(table, threads);
  for (auto _ : state) {
    once();
    benchmark::ClobberMemory();
  }
  share.report(state, s.flops());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(weight_bytes));
}

void weight_only(benchmark::State& state, const KernelTable& table, int threads, const GemmShape& s, int bits,
                 Index group) {
  const Operands<float> operands(s);
  const WeightOnlyMatrix w(table, quantize_groups(operands.b(), bits, group, GroupRange::absmax));
  measure(
      state, table, threads, s, operands, w.bytes(),
      [&](ExecContext& ctx, MatrixRef c) { gemm_weight_only(ctx, operands.a(), w, c); },
      [&](float* out, Index j) { w.copy_column(out, j); });
}

void float_weights(benchmark::State& state, const KernelTable& table, int threads, const GemmShape& s) {
  const Operands<float> operands(s);
  const PackedMatrix<float> w(table, operands.b());
  measure(
      state, table, threads, s, operands, static_cast<std::size_t>(s.n * s.k) * sizeof(float),
      [&](ExecContext& ctx, MatrixRef c) { gemm(ctx, operands.a(), w, c); },
      [&](float* out, Index j) {
        for (Index k = 0; k < s.k; ++k) out[k] = operands.b().row(k)[j];
      });
}

}  // namespace

void register_weight_only(const Machine& machine) {
  constexpr std::size_t kWeights = 64 << 20;
  std::vector<GemmShape> shapes;
  for (const Index m : {1, 2, 4, 8, 16}) shapes.push_back(few_rows_shape(m, kWeights, 1));
  for (const Index m : {32, 128, 512}) shapes.push_back({"", m, 4096, 4096});
  for (const GemmShape& s : shapes) {
    for (int threads = 1; threads <= machine.threads; ++threads) {
      const auto add_form = [&](const std::string& form, auto&& body) {
        add(fmt::format("gemm_weight_only/{}/{}/M:{}/N:{}/K:{}/threads:{}", form, machine.table.name, s.m,
                        s.n, s.k, threads),
            [=, &table = machine.table](benchmark::State& state) { body(state, table, threads, s); });
      };
      add_form("float32", float_weights);
      for (const auto& form : {std::pair<int, Index>{8, s.k}, {4, 64}}) {
        const int bits = form.first;
        const Index group = form.second;
        add_form(fmt::format("int{}/group:{}", bits, group),
                 [=](benchmark::State& state, const KernelTable& table, int team, const GemmShape& shape) {
                   weight_only(state, table, team, shape, bits, group);
                 });
      }
    }
  }
}

}  // namespace loglog::bench
