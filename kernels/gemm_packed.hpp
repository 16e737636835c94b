// The loops around strips of packed operands; for the drivers gemm_bf16.cpp and gemm_s8.cpp.
//
//   C cut into jobs (gemm_grid.hpp)
//     columns by nc                all, unless blocks of B stay in L2
//       K by kc, rows by mc        the other way round where a block of A stays in L2
//           pack A: mc x kc, or read it where it is
//         columns by nr            one strip; after the last K block its epilogue
//
// Where B is not packed, K by kc comes first and each block of B is packed, into the same place, just before rows meet it: so it is
// never written to memory. A job of few rows goes by columns first and by K inside, so that it reads B as one stream.
#pragma once
#include <algorithm>
#include <type_traits>

#include "kernels/exec.hpp"
#include "kernels/gemm.hpp"
#include "kernels/gemm_grid.hpp"
#include "kernels/packed_matrix.hpp"
#include "kernels/parallel.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {

// What a packed product multiplies: b_packed if it is there, else b, of which each job packs what it needs.
template <class T, class Sum>
struct PackedProduct {
  const PackedGemm<T, Sum>& kernel;
  ConstMatrix<T> a, b;
  const T* b_packed;
  Matrix<Sum> c;
  bool accumulate;
  // Where C is of another type than the sums, c has its shape alone: the sums of a strip lie here until its epilogue, in rows of
  // nr. K is then one block (is_one_block).
  Sum* strip_sums = nullptr;

  // The one so many products behind this.
  PackedProduct in_batch(const GemmBatch& batch, Index product) const {
    PackedProduct other = *this;
    other.a.data += product * batch.a_step;
    other.b.data += product * batch.b_step;
    other.c.data += product * batch.c_step;
    return other;
  }
};

// Some rows of A, over some of K, as the family wants them.
template <class T, class Sum>
void pack_rows(const PackedGemm<T, Sum>& kernel, std::byte* out, LinesView<T> in, Index rows, Index depth) {
  using Widened = std::conditional_t<std::is_same_v<T, bf16>, float, std::int16_t>;
  constexpr int kTileGroup = 64 / static_cast<int>(sizeof(T));
  // Few rows lie close together: A takes no more of the caches than it has to while B goes by.
  const Index width = std::min<Index>(kernel.mr, round_up(rows, kernel.row_multiple));
  switch (kernel.packed_a) {
    case PackedA::widened:
      return pack_panels(reinterpret_cast<Widened*>(out), in, rows, width, depth);
    case PackedA::tiles:
      return pack_panels(reinterpret_cast<T*>(out), in, rows, width, depth, {kTileGroup, kTileGroup});
    case PackedA::groups:
      return pack_panels(reinterpret_cast<T*>(out), in, rows, width, depth,
                         {kernel.group, kernel.depth_multiple});
  }
}

// One job's part of the product.
template <class T, class Sum>
class PackedJob {
 public:
  // What a job of m x n at most takes of its thread's scratch: what sums of rows begin with; what it packs of A; and, if it packs B, a
  // block of that, or all of K of a strip.
  static std::size_t scratch_bytes(const PackedGemm<T, Sum>& kernel, Index m, Index n, Index k, Weights b) {
    const std::size_t rows = compensation_bytes(kernel, m) + a_bytes(kernel, m, n, k, b);
    if (b == Weights::packed) return rows;
    const Index depth = layout_of(kernel).padded_depth(k);
    const Index columns = std::min(round_up(n, kernel.nr), packed_columns(kernel));
    const Index elements = std::max(columns * std::min(depth, kc(kernel)), kernel.nr * depth);
    return rows + round_up_to_cache_line(static_cast<std::size_t>(elements) * sizeof(T));
  }

  // What run's epilogue gets of rows at most.
  static Index block_rows(const PackedGemm<T, Sum>& kernel) { return mc(kernel, kernel.blocks.rows); }
  // Whether each strip has its whole sums at once; and what those of a strip take.
  static bool is_one_block(const PackedGemm<T, Sum>& kernel, Index k) { return k <= kc(kernel); }
  static Index strip_elements(const PackedGemm<T, Sum>& kernel) {
    return round_up(std::max(block_rows(kernel), few_rows(kernel)) * kernel.nr,
                    kCacheLineBytes / sizeof(Sum));
  }

  PackedJob(const PackedProduct<T, Sum>& product, const GemmJob& job, std::byte* scratch)
      : p_(product),
        job_(job),
        depth_(layout_of(product.kernel).padded_depth(product.a.cols)),
        in_place_(reads_in_place(product, job)),
        compensation_(reinterpret_cast<Sum*>(scratch)),
        a_(scratch + compensation_bytes(product.kernel, job.rows)),
        b_(reinterpret_cast<T*>(a_ + a_bytes(p_.kernel, job.rows, job.cols, p_.a.cols,
                                             p_.b_packed == nullptr ? Weights::plain : Weights::packed))) {}

  // epilogue(row, rows, col, cols) comes once for every part of C, when its sums are complete.
  template <class Epilogue>
  void run(Epilogue&& epilogue) const {
    if (job_.rows <= few_rows(p_.kernel)) return run_few_rows(epilogue);
    if (p_.b_packed == nullptr) return run_packing(epilogue);
    const Index b_bytes = p_.kernel.blocks.b_bytes;
    if (b_bytes == kWholeB)
      return for_row_blocks(0, job_.rows,
                            [&](Index row, Index rows) { run_block(row, rows, 0, job_.cols, epilogue); });
    const Index column_bytes = std::min(depth_, kc(p_.kernel)) * static_cast<Index>(sizeof(T));
    const Index nc = round_up(std::max<Index>(b_bytes / column_bytes, 1), p_.kernel.nr);
    for (Index col = 0; col < job_.cols; col += nc)
      run_block(0, job_.rows, col, std::min(nc, job_.cols - col), epilogue);
  }

 private:
  // A block of K.
  struct Steps {
    Index first, count;
  };
  // Where a strip finds its rows of A.
  struct RowsOfA {
    const void* a;
    Index row;
    const void* end;
  };
  // Panels of nr columns of B over a block of K, the first for the column that a caller knows.
  struct PanelsOfB {
    const T* data;
    Index panel;  // elements from one to the next
  };

  // Steps of depth of a K block; rows of a block of A.
  static Index kc(const PackedGemm<T, Sum>& kernel) {
    return kernel.blocks.depth_bytes / static_cast<Index>(sizeof(T));
  }
  static Index mc(const PackedGemm<T, Sum>& kernel, Index rows) {
    return round_up(std::min(kernel.blocks.rows, rows), kernel.mr);
  }
  // Where a job packs B: columns and steps of a block of it, which stays in L2, and the most rows of A that do beside it.
  static constexpr Index kPacked = 768;
  static Index packed_depth(const PackedGemm<T, Sum>& kernel) {
    constexpr Index kBytes = 1024;
    return std::min(kc(kernel), kBytes / static_cast<Index>(sizeof(T)));
  }
  static Index packed_columns(const PackedGemm<T, Sum>& kernel) { return round_up(kPacked, kernel.nr); }
  // A block of A, all of K for a job of few rows, or a K block of all rows that are kept. No smaller job takes more.
  static std::size_t a_bytes(const PackedGemm<T, Sum>& kernel, Index m, Index n, Index k, Weights b) {
    const Index depth = layout_of(kernel).padded_depth(k);
    const Index few = round_up(std::min(m, few_rows(kernel)), kernel.mr);
    Index rows = mc(kernel, m);
    if (b == Weights::plain && n > packed_columns(kernel))
      rows = std::max(rows, round_up(std::min(m, kPacked), kernel.mr));
    const Index steps = std::max(rows * std::min(depth, kc(kernel)), few * depth);
    return round_up_to_cache_line(static_cast<std::size_t>(steps * step_bytes(kernel)));
  }
  static std::size_t compensation_bytes(const PackedGemm<T, Sum>& kernel, Index rows) {
    if (!kernel.b_plus_128) return 0;
    return round_up_to_cache_line(static_cast<std::size_t>(std::max(mc(kernel, rows), few_rows(kernel))) *
                                  sizeof(Sum));
  }
  // Not a few long rows, which may all begin in the same few sets of L1 (8 rows of int8, 32 KiB apart: half the rate).
  static bool reads_in_place(const PackedProduct<T, Sum>& p, const GemmJob& job) {
    if (!p.kernel.reads_a_in_place || p.a.col_stride != 1 || p.a.row_stride == 0) return false;
    if (p.a.cols % p.kernel.depth_multiple != 0 && p.kernel.packed_a != PackedA::tiles) return false;
    if (job.rows <= few_rows(p.kernel)) return job.rows == 1 && p.kernel.row_multiple == 1;
    const PackedBlocks& blocks = p.kernel.blocks;
    return job.cols < blocks.in_place_columns &&
           p.a.cols * static_cast<Index>(sizeof(T)) >= blocks.in_place_row_bytes;
  }

  // All of K for a part of the job, by packed columns.
  void run_block(Index first_row, Index rows, Index first_col, Index cols, auto&& epilogue) const {
    for (Index first = 0; first < depth_; first += kc(p_.kernel)) {
      const Steps steps = {first, std::min(kc(p_.kernel), depth_ - first)};
      run_rows(steps, first_row, rows, first_col, cols, columns_of_b(first_col, first), false, epilogue);
    }
  }

  // The job, where it packs B. Rows that meet several blocks of it are packed once.
  void run_packing(auto&& epilogue) const {
    const Index step = p_.strip_sums != nullptr ? kc(p_.kernel) : packed_depth(p_.kernel);
    const Index col_step = packed_columns(p_.kernel);
    const bool keeps_rows = !in_place_ && job_.cols > col_step && job_.rows <= kPacked;
    for (Index first = 0; first < depth_; first += step) {
      const Steps steps = {first, std::min(step, depth_ - first)};
      for_row_blocks(0, keeps_rows ? job_.rows : 0, [&](Index row, Index rows) {
        pack_a(row, rows, steps, a_ + row * steps.count * step_bytes(p_.kernel));
      });
      for (Index col = 0; col < job_.cols; col += col_step) {
        const Index cols = std::min(col_step, job_.cols - col);
        run_rows(steps, 0, job_.rows, col, cols, packed_b(col, cols, steps), keeps_rows, epilogue);
      }
    }
  }

  void for_row_blocks(Index first, Index rows, auto&& call) const {
    const Index step = mc(p_.kernel, rows);
    for (Index row = first; row < first + rows; row += step) call(row, std::min(step, first + rows - row));
  }

  // A block of K for a part of the job; `b` begins at its first column. A is packed already, or row by row on the way.
  void run_rows(Steps steps, Index first_row, Index rows, Index first_col, Index cols, PanelsOfB b,
                bool a_packed, auto&& epilogue) const {
    const bool is_last = steps.first + steps.count >= depth_;
    for_row_blocks(first_row, rows, [&](Index row, Index here) {
      const RowsOfA a = a_packed ? RowsOfA{a_ + row * steps.count * step_bytes(p_.kernel), 0, nullptr}
                                 : rows_of_a(row, here, steps, a_);
      PackedStrip<T, Sum> strip = strip_of(here, steps, a, row_compensation(row, here, steps));
      strip.b = b.data;
      for (Index col = first_col; col < first_col + cols; col += p_.kernel.nr, strip.b += b.panel) {
        run_strip(strip, row, col);
        if (is_last) epilogue(job_.row + row, here, job_.col + col, columns(col));
      }
    });
  }

  // A tile, or the 16 rows that still read packed weights at the speed of memory.
  static Index few_rows(const PackedGemm<T, Sum>& kernel) { return std::max<Index>(kernel.mr, 16); }
  // Bytes that a step of a row of A takes once it is packed.
  static Index step_bytes(const PackedGemm<T, Sum>& kernel) {
    return static_cast<Index>(sizeof(T)) * (kernel.packed_a == PackedA::widened ? 2 : 1);
  }

  Index columns(Index col) const { return std::min<Index>(p_.kernel.nr, job_.cols - col); }

  // Of all columns, where B is packed.
  PanelsOfB columns_of_b(Index col, Index first) const {
    return {p_.b_packed + (job_.col + col) * depth_ + first * p_.kernel.nr, p_.kernel.nr * depth_};
  }
  // Packs them, where it is not.
  PanelsOfB packed_b(Index col, Index cols, Steps steps) const {
    const ConstMatrix<T>& b = p_.b;
    const LinesView<T> in = {b.data + steps.first * b.row_stride + (job_.col + col) * b.col_stride,
                             b.col_stride, b.row_stride};
    pack_panels(b_, in, cols, p_.kernel.nr, std::min(steps.count, b.rows - steps.first),
                layout_of(p_.kernel).grouping);
    return {b_, p_.kernel.nr * steps.count};
  }

  void pack_a(Index row, Index rows, Steps steps, std::byte* out) const {
    const ConstMatrix<T>& a = p_.a;
    const LinesView<T> in = {a.data + (job_.row + row) * a.row_stride + steps.first * a.col_stride,
                             a.row_stride, a.col_stride};
    pack_rows(p_.kernel, out, in, rows, std::min(steps.count, a.cols - steps.first));
  }

  // What the sums of some rows begin with, over so much of K; null: 0.
  const Sum* row_compensation(Index row, Index rows, Steps steps) const {
    if (!p_.kernel.b_plus_128) return nullptr;
    const ConstMatrix<T>& a = p_.a;
    const T* const from = a.row(job_.row + row) + steps.first * a.col_stride;
    p_.kernel.row_compensation(
        compensation_, {from, rows, std::min(steps.count, a.cols - steps.first), a.row_stride, a.col_stride});
    return compensation_;
  }

  void run_few_rows(auto&& epilogue) const {
    const Index step_of_rows = round_up(job_.rows, p_.kernel.mr) * step_bytes(p_.kernel);
    const auto packed = [&](Index first) { return a_ + first * step_of_rows; };
    const auto steps_from = [&](Index first) {
      return Steps{first, std::min(kc(p_.kernel), depth_ - first)};
    };
    for (Index first = 0; first < depth_ && !in_place_; first += kc(p_.kernel))
      pack_a(0, job_.rows, steps_from(first), packed(first));
    const Sum* const compensation = row_compensation(0, job_.rows, {0, depth_});
    for (Index col = 0; col < job_.cols; col += p_.kernel.nr) {
      const T* const b =
          p_.b_packed != nullptr ? columns_of_b(col, 0).data : packed_b(col, columns(col), {0, depth_}).data;
      for (Index first = 0; first < depth_; first += kc(p_.kernel)) {
        const Steps steps = steps_from(first);
        const RowsOfA a = in_place_ ? rows_of_a(0, job_.rows, steps, a_) : RowsOfA{packed(first), 0, nullptr};
        PackedStrip<T, Sum> strip = strip_of(job_.rows, steps, a, first == 0 ? compensation : nullptr);
        strip.b = b + first * p_.kernel.nr;
        strip.b_streams = true;
        run_strip(strip, 0, col);
      }
      epilogue(job_.row, job_.rows, job_.col + col, columns(col));
    }
  }

  RowsOfA rows_of_a(Index row, Index rows, Steps steps, std::byte* room) const {
    const Index first = steps.first;
    if (!in_place_ || rows % p_.kernel.row_multiple != 0) {
      pack_a(row, rows, steps, room);
      return {room, 0, nullptr};
    }
    const ConstMatrix<T>& a = p_.a;
    const T* const data = a.row(job_.row + row);
    const Index whole = a.cols / p_.kernel.depth_multiple * p_.kernel.depth_multiple;
    if (whole == a.cols || first + steps.count < depth_) return {data + first, a.row_stride, nullptr};
    pack_rows(p_.kernel, room, {data + whole, a.row_stride, 1}, rows, a.cols - whole);
    return {data + first, a.row_stride, room};
  }

  // Rows and columns count from the job's first. What all strips of some rows share, once: for K = 64 a strip takes some hundred
  // cycles.
  PackedStrip<T, Sum> strip_of(Index rows, Steps steps, const RowsOfA& a, const Sum* compensation) const {
    return {.m = rows,
            .groups = steps.count / p_.kernel.group,
            .n = 0,
            .a = a.a,
            .a_row = a.row,
            .a_end = a.end,
            .row_compensation = compensation,
            .b = nullptr,
            .c = nullptr,
            .c_row = p_.strip_sums == nullptr ? p_.c.row_stride : p_.kernel.nr,
            .add = p_.accumulate || steps.first > 0};
  }
  void run_strip(PackedStrip<T, Sum>& strip, Index row, Index col) const {
    strip.n = static_cast<int>(columns(col));
    strip.c = p_.strip_sums == nullptr ? p_.c.row(job_.row + row) + job_.col + col : p_.strip_sums;
    p_.kernel.strip(strip);
  }

  const PackedProduct<T, Sum>& p_;
  const GemmJob job_;
  const Index depth_;        // of K, padded
  const bool in_place_;      // A
  Sum* const compensation_;  // of the rows of a block
  std::byte* const a_;       // where it is packed
  T* const b_;               // and columns of B are
};

// Bytes of scratch that multiply_packed takes.
template <class T, class Sum>
std::size_t multiply_packed_bytes(const PackedGemm<T, Sum>& kernel, int threads, Index count, Index m,
                                  Index n, Index k, Weights b) {
  if (m <= 0 || n <= 0 || k <= 0 || count <= 0) return 0;  // nothing to multiply, or refused
  const GemmTasks tasks = choose_gemm_tasks(kernel.mr, kernel.nr, threads, count, m, n, k);
  return static_cast<std::size_t>(tasks.team) *
         PackedJob<T, Sum>::scratch_bytes(kernel, std::min(tasks.grid.row_step, m),
                                          std::min(tasks.grid.col_step, n), k, b);
}

// The whole product, or those of a batch; strip_sums is that of the first thread, the others' lie behind it; epilogue(thread, row, rows, col, cols) as in PackedJob::run, from that thread.
template <class T, class Sum, class Epilogue>
void multiply_packed(ExecContext& ctx, const PackedProduct<T, Sum>& product, Epilogue&& epilogue,
                     const GemmBatch& batch = {}) {
  const auto& kernel = product.kernel;
  const Index m = product.c.rows, n = product.c.cols, k = product.a.cols;
  if (m == 0 || n == 0 || batch.count == 0) return;
  if (k == 0) {  // sums of nothing
    for (Index e = 0; e < batch.count && !product.accumulate; ++e) {
      const Matrix<Sum> c = product.in_batch(batch, e).c;
      for (Index i = 0; i < m; ++i) std::fill_n(c.row(i), n, Sum{});
    }
    return epilogue(0, Index{0}, m, Index{0}, n);
  }
  const GemmTasks tasks = choose_gemm_tasks(kernel.mr, kernel.nr, ctx.threads, batch.count, m, n, k);
  const Weights weights = product.b_packed == nullptr ? Weights::plain : Weights::packed;
  const std::size_t bytes = multiply_packed_bytes(kernel, ctx.threads, batch.count, m, n, k, weights);
  const std::size_t bytes_per_thread = bytes / static_cast<std::size_t>(tasks.team);
  ScratchFrame frame(ctx.scratch);
  std::byte* const scratch = frame.take<std::byte>(bytes);
  parallel_tasks(tasks.team, tasks.count, [&](Index task, int thread) {
    std::byte* const mine = scratch + bytes_per_thread * static_cast<std::size_t>(thread);
    auto own = product.in_batch(batch, tasks.product(task));
    if (own.strip_sums != nullptr) own.strip_sums += thread * PackedJob<T, Sum>::strip_elements(kernel);
    kernel.begin();
    PackedJob<T, Sum>(own, tasks.job(task), mine).run([&](Index row, Index rows, Index col, Index cols) {
      epilogue(thread, row, rows, col, cols);
    });
    kernel.end();
  });
}

}  // namespace loglog::kernels
