#include "kernels/ladder/ladder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "kernels/int8.hpp"
#include "kernels/isa.hpp"
#include "kernels/ladder/kinds.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels::ladder {
namespace {

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end > 0) found.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return found;
}

// Whether what the ISA `row` does in a way of its own, and not as the one whose float32 it has, is what `table` does.
bool takes_products_of(const KernelTable& table, const KernelTable& row) {
  const KernelTable& base = select_table(row.float32);
  return (row.gemm_s8 != base.gemm_s8 && table.gemm_s8 == row.gemm_s8) ||
         (row.gemm_bf16 != base.gemm_bf16 && table.gemm_bf16 == row.gemm_bf16);
}

double product_bytes(const std::vector<Index>& size) {
  const auto m = static_cast<double>(size[0]), n = static_cast<double>(size[1]),
             k = static_cast<double>(size[2]);
  return sizeof(float) * (m * k + k * n + m * n);
}

// Packed weights beside it.
double int8_product_bytes(const std::vector<Index>& size) {
  return product_bytes(size) + static_cast<double>(size[1]) * static_cast<double>(size[2]);
}

// Eight matrices: q k v out, their gradients.
double attention_bytes(const std::vector<Index>& size) {
  double floats = 8;
  for (const Index number : size) floats *= static_cast<double>(number);
  return sizeof(float) * floats;
}

}  // namespace

const std::vector<LadderKind>& ladder_kinds() {
  constexpr Index kLargest = 1 << 16;
  static const std::vector<LadderKind> kinds = {
      {.name = "gemm",
       .letters = "M,N,K",
       .formula = "C[M,N] = A[M,K] B[K,N], float32",
       .sizes = {{256, 256, 256}, {512, 2048, 2048}},
       .largest = {kLargest, kLargest, kLargest},
       .bytes = product_bytes,
       .make = make_gemm_ladder},
      {.name = "attention",
       .letters = "H,T,D",
       .formula = "out = softmax(Q K' / sqrt(D)) V, causal, H heads of T rows of D floats",
       .sizes = {{8, 256, 64}, {8, 1024, 64}},
       .largest = {kLargest, kLargest, kLargest},
       .bytes = attention_bytes,
       .make = make_attention_ladder},
      {.name = "int8",
       .letters = "M,N,K",
       .formula = "C[M,N] = A[M,K] B[K,N] through int8, with outliers in A",
       .sizes = {{256, 256, 256}, {1024, 1024, 1024}},
       .largest = {kLargest, kLargest, kInt8MaxDepth},
       .bytes = int8_product_bytes,
       .make = make_int8_ladder},
  };
  return kinds;
}

std::string missing(const RungInfo& rung, const KernelTable& table) {
  const std::vector<std::string_view> needed = words(rung.needs);
  if (needed.empty()) return {};
  bool supported = false;
  for (const IsaRow& row : isa_rows()) {
    if (std::ranges::find(needed, row.name) == needed.end() || !row.supported) continue;
    if (takes_products_of(table, *row.table)) return {};
    supported = true;
  }
  return fmt::format("needs {}: {}", fmt::join(needed, " or "),
                     supported ? fmt::format("isa {} does without", table.name) : "this CPU lacks it");
}

}  // namespace loglog::kernels::ladder
