#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/rng.hpp"
#include "bench/suites.hpp"
#include "kernels/gemm.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

// Which operand is stored transposed. nn: activations times weights; nt: times weights stored (N,K); tn:
// gradients of weights, summed over tokens.
enum class Layout { nn, nt, tn };

struct Shape {
  Index m, n, k;
  Layout layout = Layout::nn;
};

constexpr const char* kLayoutNames[] = {"", "/nt", "/tn"};

// Cubes, then the products of small transformers: forward, output head, gradients of weights.
constexpr Shape kShapes[] = {
    {256, 256, 256},
    {512, 512, 512},
    {1024, 1024, 1024},
    {2048, 2048, 2048},
    {512, 32, 32},
    {1024, 96, 32},
    {2048, 128, 32},
    {768, 128, 128},
    {768, 384, 128},
    {768, 512, 128},
    {768, 128, 512},
    {768, 65, 128, Layout::nt},
    {4096, 256, 64},
    {8192, 1536, 384},
    {4096, 256, 64, Layout::nt},
    {32, 96, 1024, Layout::tn},
    {64, 256, 4096, Layout::tn},
    {128, 512, 768, Layout::tn},
    {384, 1536, 8192, Layout::tn},
    {1, 2048, 2048},
};

std::vector<float> random_values(Index count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  std::uint32_t bits = 1;
  for (float& v : values) {
    bits = bits * 1664525u + 1013904223u;
    v = static_cast<float>(bits >> 8) * 0x1p-24f - 0.5f;
  }
  return values;
}

// A few elements against float64: a fast wrong kernel has no rate.
bool is_correct(ConstMatrixRef a, ConstMatrixRef b, MatrixRef c) {
  for (Index e = 0; e < 64; ++e) {
    const Index i = e * 7919 % c.rows, j = e * 104729 % c.cols;
    double sum = 0.0, bound = 0.0;
    for (Index p = 0; p < a.cols; ++p) {
      const double product = double{a.data[i * a.row_stride + p * a.col_stride]} *
                             double{b.data[p * b.row_stride + j * b.col_stride]};
      sum += product;
      bound += std::abs(product);
    }
    bound *= static_cast<double>(a.cols + 2) * 0x1p-24;
    if (!(std::abs(c.row(i)[j] - sum) <= bound)) return false;
  }
  return true;
}

void run(benchmark::State& state, const KernelTable& table, int threads, const Shape& s) {
  const std::vector<float> a_values = random_values(s.m * s.k), b_values = random_values(s.k * s.n);
  std::vector<float> c_values(static_cast<std::size_t>(s.m * s.n));
  const ConstMatrixRef a = s.layout == Layout::tn ? ConstMatrixRef(a_values.data(), s.k, s.m).transposed()
                                                  : ConstMatrixRef(a_values.data(), s.m, s.k);
  const ConstMatrixRef b = s.layout == Layout::nt ? ConstMatrixRef(b_values.data(), s.n, s.k).transposed()
                                                  : ConstMatrixRef(b_values.data(), s.k, s.n);
  const MatrixRef c(c_values.data(), s.m, s.n);
  Scratch scratch(gemm_scratch_bytes(table, threads, s.m, s.n, s.k));
  ExecContext ctx{table, threads, scratch};
  gemm(ctx, a, b, c);
  if (!is_correct(a, b, c)) return state.SkipWithError("wrong result");
  PeakShare share(table, threads);
  for (auto _ : state) {
    gemm(ctx, a, b, c);
    benchmark::ClobberMemory();
  }
  share.report(state, 2.0 * static_cast<double>(s.m * s.n * s.k));
}

}  // namespace

void register_gemm(const Machine& machine) {
  for (const Shape& shape : kShapes) {
    for (int threads = 1; threads <= machine.threads; ++threads) {
      add(fmt::format("gemm_f32{}/{}/M:{}/N:{}/K:{}/threads:{}", kLayoutNames[static_cast<int>(shape.layout)],
                      machine.table.name, shape.m, shape.n, shape.k, threads),
          [=](benchmark::State& state) { run(state, machine.table, threads, shape); });
    }
  }
}

}  // namespace loglog::bench
