// The products that benchmarks measure, in one place.
#pragma once
#include <fmt/format.h>

#include <bit>
#include <string>
#include <vector>

#include "kernels/matrix.hpp"

namespace loglog::bench {

using kernels::Index;

// Which operand is stored transposed. nn: activations times weights; nt: gradients times the same weights; tn: gradients of
// weights, summed over tokens.
enum class Layout { nn, nt, tn };
inline constexpr const char* kLayoutNames[] = {"", "/nt", "/tn"};

struct GemmShape {
  std::string what;  // cube; or size of the ladder, matrix, pass
  Index m, n, k;
  Layout layout = Layout::nn;

  double flops() const {
    return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  }
  std::string text() const { return fmt::format("{} x {} x {}", m, n, k); }
};

inline std::vector<GemmShape> cube_shapes() {
  std::vector<GemmShape> shapes;
  for (const Index n : {256, 512, 1024, 2048, 4096}) shapes.push_back({"cube", n, n, n});
  return shapes;
}

// The model ladder of the studies from its size d on.
struct LadderSize {
  char name;
  Index width;
};
inline constexpr LadderSize kLadder[] = {{'d', 64},  {'e', 80},  {'f', 96},  {'g', 128},
                                         {'h', 160}, {'i', 192}, {'j', 256}, {'k', 320},
                                         {'l', 384}, {'m', 448}, {'n', 512}};
inline constexpr Index kTokens = 4096;

// The matrices of a block, inputs x outputs: weights of attention's inputs and output, and the two of the MLP; each as the
// product that a step makes forward, for the gradient of its input, and for that of its weights.
inline std::vector<GemmShape> training_shapes(const LadderSize& size) {
  const Index d = size.width;
  const struct {
    const char* name;
    Index in, out;
  } matrices[] = {{"qkv", d, 3 * d}, {"proj", d, d}, {"up", d, 4 * d}, {"down", 4 * d, d}};
  std::vector<GemmShape> shapes;
  for (const auto& w : matrices) {
    shapes.push_back({fmt::format("{} {} forward", size.name, w.name), kTokens, w.out, w.in, Layout::nn});
    shapes.push_back({fmt::format("{} {} d_input", size.name, w.name), kTokens, w.in, w.out, Layout::nt});
    shapes.push_back({fmt::format("{} {} d_weight", size.name, w.name), w.in, w.out, kTokens, Layout::tn});
  }
  return shapes;
}

inline std::vector<GemmShape> training_shapes() {
  std::vector<GemmShape> shapes;
  for (const LadderSize& size : kLadder)
    for (GemmShape& shape : training_shapes(size)) shapes.push_back(std::move(shape));
  return shapes;
}

// M rows against weights of this many bytes, a power of two: generating text, which reads each weight once.
inline GemmShape few_rows_shape(Index m, std::size_t weight_bytes, std::size_t element_bytes) {
  const int bits = static_cast<int>(std::bit_width(weight_bytes / element_bytes)) - 1;
  const Index k = Index{1} << bits / 2;
  return {fmt::format("{} MiB", weight_bytes >> 20), m, (Index{1} << bits) / k, k};
}

// Products of models smaller than the ladder's d, two character heads, and a batch of 8,192 tokens.
inline std::vector<GemmShape> other_shapes() {
  return {{"small", 64, 64, 64},
          {"small", 512, 32, 32},
          {"small", 1024, 96, 32},
          {"small", 2048, 128, 32},
          {"small", 768, 128, 128},
          {"small", 768, 512, 128},
          {"small", 768, 128, 512},
          {"small", 32, 96, 1024, Layout::tn},
          {"small", 128, 512, 768, Layout::tn},
          {"head", 768, 65, 128, Layout::nt},
          {"head", 4096, 256, 64, Layout::nt},
          {"batch", 8192, 1536, 384},
          {"batch", 384, 1536, 8192, Layout::tn}};
}

}  // namespace loglog::bench
