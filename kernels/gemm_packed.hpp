// The loops around strips of packed operands; for the drivers gemm_bf16.cpp and gemm_s8.cpp.
//
//   C cut into jobs (gemm_grid.hpp)
//     rows by mc
//       K by kc              pack A: mc x kc
//         columns by nr      one strip; after the last K block what finish(rows, columns) does
//
// A job of at most mr rows goes by columns first and by K inside, so that it reads B as one stream.
#pragma once
#include <algorithm>

#include "base/check.hpp"
#include "kernels/exec.hpp"
#include "kernels/gemm_grid.hpp"
#include "kernels/packed_matrix.hpp"
#include "kernels/parallel.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {

// What a packed product multiplies: b_packed when its data is there, else the columns of b, which each job packs for itself.
template <class T, class Sum>
struct PackedProduct {
  const PackedGemm<T, Sum>& kernel;
  ConstMatrix<T> a, b;
  PackedView<T> b_packed;
  Matrix<Sum> c;
  bool accumulate;
};

// Steps of depth of a K block: 1 KiB of a lane, so that a strip of B stays in L1.
template <class T>
constexpr Index kPackedKc = 1024 / static_cast<Index>(sizeof(T));
inline constexpr Index kPackedMc = 144;

template <class T, class Sum>
class PackedMultiplier {
 public:
  explicit PackedMultiplier(const PackedProduct<T, Sum>& product)
      : p_(product), layout_(layout_of(product.kernel)), depth_(layout_.padded_depth(product.a.cols)) {}

  // Bytes of one thread's packed block of A, packed columns of B and their sums.
  static std::size_t thread_bytes(const PackedGemm<T, Sum>& kernel, Index m, Index n, Index k, bool packs_b) {
    const PanelLayout layout = layout_of(kernel);
    const Index mc = std::min(round_up(kPackedMc, kernel.mr), round_up(m, kernel.mr));
    const Index a =
        std::max(mc * std::min(layout.padded_depth(k), kPackedKc<T>), kernel.mr * layout.padded_depth(k));
    std::size_t bytes = round_up_to_cache_line(static_cast<std::size_t>(a * unit_bytes(kernel)));
    if (packs_b) {
      bytes += round_up_to_cache_line(static_cast<std::size_t>(layout.elements(k, n)) * sizeof(T));
      bytes +=
          round_up_to_cache_line(static_cast<std::size_t>(round_up(n, kernel.nr)) * sizeof(std::int32_t));
    }
    return bytes;
  }

  // C[job]; scratch has thread_bytes. finish(row, rows, col, cols) comes once for every part of C that is complete.
  template <class Finish>
  void run(const GemmJob& job, std::byte* scratch, Finish&& finish) {
    a_packed_ = scratch;
    const Index a_bytes =
        std::max(std::min(round_up(kPackedMc, p_.kernel.mr), round_up(job.rows, p_.kernel.mr)) *
                     std::min(depth_, kPackedKc<T>),
                 p_.kernel.mr * depth_) *
        unit_bytes(p_.kernel);
    prepare_b(job, scratch + round_up_to_cache_line(static_cast<std::size_t>(a_bytes)));
    if (job.rows <= p_.kernel.mr) return run_one_tile(job, finish);
    const Index mc = round_up(kPackedMc, p_.kernel.mr);
    for (Index row = job.row; row < job.row + job.rows; row += mc) {
      const Index rows = std::min(mc, job.row + job.rows - row);
      for (Index first = 0; first < depth_; first += kPackedKc<T>) {
        pack_a(row, rows, first, std::min(kPackedKc<T>, depth_ - first), a_packed_);
        for (Index col = job.col; col < job.col + job.cols; col += p_.kernel.nr) {
          const Index cols = std::min<Index>(p_.kernel.nr, job.col + job.cols - col);
          strip(row, rows, col, cols, first, a_packed_);
          if (first + kPackedKc<T> >= depth_) finish(row, rows, col, cols);
        }
      }
    }
  }

 private:
  // Bytes that a step of a row of A takes once it is packed.
  static Index unit_bytes(const PackedGemm<T, Sum>& kernel) {
    return static_cast<Index>(sizeof(T)) * (kernel.packed_a == PackedA::widened ? 2 : 1);
  }

  void prepare_b(const GemmJob& job, std::byte* scratch) {
    b_ = p_.b_packed;
    b_col_ = 0;
    if (b_.data != nullptr) return;
    T* const packed = reinterpret_cast<T*>(scratch);
    const ConstMatrix<T> columns(p_.b.data + job.col * p_.b.col_stride, p_.b.rows, job.cols, p_.b.row_stride,
                                 p_.b.col_stride);
    pack_columns(packed, columns, layout_);
    b_ = {packed, p_.b.rows, job.cols, nullptr};
    b_col_ = job.col;
    if (p_.kernel.packed_a == PackedA::offset) {
      const auto packed_bytes = static_cast<std::size_t>(layout_.elements(p_.b.rows, job.cols)) * sizeof(T);
      auto* const sums = reinterpret_cast<std::int32_t*>(scratch + round_up_to_cache_line(packed_bytes));
      if constexpr (sizeof(T) == 1) sum_columns(sums, packed, p_.b.rows, job.cols, layout_);
      b_.column_sums = sums;
    }
  }

  void pack_a(Index row, Index rows, Index first, Index depth, std::byte* out) const {
    const Index steps = std::min(depth, p_.a.cols - first);
    const LanesView<T> in = {p_.a.data + row * p_.a.row_stride + first * p_.a.col_stride, p_.a.row_stride,
                             p_.a.col_stride};
    pack_rows_for(p_.kernel, out, in, rows, steps);
  }

  void run_one_tile(const GemmJob& job, auto&& finish) {
    for (Index first = 0; first < depth_; first += kPackedKc<T>) {
      const Index depth = std::min(kPackedKc<T>, depth_ - first);
      pack_a(job.row, job.rows, first, depth, a_packed_ + first * p_.kernel.mr * unit_bytes(p_.kernel));
    }
    for (Index col = job.col; col < job.col + job.cols; col += p_.kernel.nr) {
      const Index cols = std::min<Index>(p_.kernel.nr, job.col + job.cols - col);
      for (Index first = 0; first < depth_; first += kPackedKc<T>) {
        strip(job.row, job.rows, col, cols, first, a_packed_ + first * p_.kernel.mr * unit_bytes(p_.kernel));
      }
      finish(job.row, job.rows, col, cols);
    }
  }

  void strip(Index row, Index rows, Index col, Index cols, Index first, const std::byte* a) const {
    PackedStrip<T, Sum> s = {};
    s.m = rows;
    s.groups = std::min(kPackedKc<T>, depth_ - first) / p_.kernel.group;
    s.n = static_cast<int>(cols);
    s.a = a;
    s.b = b_.data + (col - b_col_) * depth_ + first * p_.kernel.nr;
    s.c = p_.c.row(row) + col;
    s.c_row = p_.c.row_stride;
    s.add = p_.accumulate || first > 0;
    Sum start[kMostColumns];
    if (first == 0 && p_.kernel.packed_a == PackedA::offset) {
      // sum of (a + 128) b = sum of a b + 128 sum of b; modulo 2^32 as all sums here.
      for (Index j = 0; j < p_.kernel.nr; ++j)
        start[j] = static_cast<Sum>(-128 * static_cast<std::int64_t>(b_.column_sums[col - b_col_ + j]));
      s.start = start;
    }
    p_.kernel.strip(s);
  }

  static constexpr Index kMostColumns = 64;
  const PackedProduct<T, Sum>& p_;
  const PanelLayout layout_;
  const Index depth_;  // padded
  PackedView<T> b_;
  Index b_col_ = 0;  // first column of b_ in C
  std::byte* a_packed_ = nullptr;
};

// Bytes of scratch that multiply_packed takes.
template <class T, class Sum>
std::size_t multiply_packed_bytes(const PackedGemm<T, Sum>& kernel, int threads, Index m, Index n, Index k,
                                  bool packs_b) {
  if (m == 0 || n == 0 || k == 0) return 0;
  const GemmGrid grid = choose_gemm_grid(kernel.mr, kernel.nr, threads, m, n, k);
  const auto team = static_cast<std::size_t>(std::min<Index>(threads, grid.jobs()));
  return team * PackedMultiplier<T, Sum>::thread_bytes(kernel, std::min(grid.row_step, m),
                                                       std::min(grid.col_step, n), k, packs_b);
}

// The whole product; finish as in PackedMultiplier::run, from any thread.
template <class T, class Sum, class Finish>
void multiply_packed(ExecContext& ctx, const PackedProduct<T, Sum>& product, Finish&& finish) {
  const auto& kernel = product.kernel;
  const Index m = product.c.rows, n = product.c.cols, k = product.a.cols;
  if (m == 0 || n == 0) return;
  if (k == 0) {  // a sum of nothing
    if (!product.accumulate)
      for (Index i = 0; i < m; ++i) std::fill_n(product.c.row(i), n, Sum{});
    return finish(Index{0}, m, Index{0}, n);
  }
  const GemmGrid grid = choose_gemm_grid(kernel.mr, kernel.nr, ctx.threads, m, n, k);
  const auto team = std::min<Index>(ctx.threads, grid.jobs());
  const std::size_t bytes =
      multiply_packed_bytes(kernel, ctx.threads, m, n, k, product.b_packed.data == nullptr);
  ScratchFrame frame(ctx.scratch);
  std::byte* const scratch = frame.take<std::byte>(bytes);
  parallel_tasks(static_cast<int>(team), grid.jobs(), [&](Index index, int thread) {
    PackedMultiplier<T, Sum> multiplier(product);
    multiplier.run(grid.job(index),
                   scratch + bytes / static_cast<std::size_t>(team) * static_cast<std::size_t>(thread),
                   finish);
  });
}

}  // namespace loglog::kernels
