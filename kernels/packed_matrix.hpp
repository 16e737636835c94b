// The right factor of matrix products, rearranged once for many of them: weights of a forward pass, a backward pass, an
// inference.
//
// Shapes     b (K,N), as the product takes it: pack w.transposed() for a product with a transposed weight.
// Strides    any, one of them 1.
// Alignment  none required.
// Aliasing   b is only read, and copied: it may change or go afterwards.
// Reads      only elements inside the shape.
// Rounding   none. A product with the handle has the same bits as one with the matrix.
// Order      none.
// Errors     std::bad_alloc. ContractError if a size is below 0, and in the product when its table packs differently from
//            the one given here; in pack if b has another shape or scratch is too small.
#pragma once
#include <cstdint>
#include <type_traits>

#include "kernels/block.hpp"
#include "kernels/exec.hpp"
#include "kernels/pack.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {

// How a family of a table wants its columns: panels of nr over all of K. Matrices packed for equal layouts can be exchanged.
struct PanelLayout {
  int nr;
  Grouping grouping;
  friend bool operator==(const PanelLayout&, const PanelLayout&) = default;

  Index padded_depth(Index k) const { return round_up(k, grouping.depth_multiple); }
  Index elements(Index k, Index n) const { return padded_depth(k) * round_up(n, nr); }
  // Where element (p, j) of k rows lies.
  Index offset(Index k, Index p, Index j) const {
    const Index group = grouping.group;
    return j / nr * nr * padded_depth(k) + p / group * group * nr + j % nr * group + p % group;
  }
};
inline PanelLayout layout_of(const GemmF32& kernel) {
  return {kernel.nr, kUnits<float>};
}
template <class T, class Sum>
PanelLayout layout_of(const PackedGemm<T, Sum>& kernel) {
  return {kernel.nr, {kernel.group, kernel.depth_multiple, kernel.b_plus_128}};
}

// Whether the right factor of a product is packed for that product alone or was before: the second takes less scratch.
enum class Weights : bool { plain, packed };

template <class T>
class PackedMatrix {
 public:
  PackedMatrix(const KernelTable& table, ConstMatrix<T> b);
  // Room for a b (rows, cols), zero until pack.
  PackedMatrix(const KernelTable& table, Index rows, Index cols);
  // b in place of what was there, float32 rounded to T (bfloat16: to nearest, ties to even). Weights change with every
  // step of training; the room stays. ContractError for int8, whose rounding needs scales.
  void pack(ExecContext& ctx, ConstMatrix<float> b);
  // b (rows(), any) in place of as many columns from first_col on, a multiple of layout().nr. ContractError where it, or the end of
  // b unless it is that of the matrix, lies within a panel.
  void pack_columns(ExecContext& ctx, Index first_col, ConstMatrix<float> b);

  // The same for a b and its transpose at once, each element of b read and rounded once, in order: b (K,N), strides (any, 1).
  static void pack_both(ExecContext& ctx, PackedMatrix& plain, PackedMatrix& transposed,
                        ConstMatrix<float> b);

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  const PanelLayout& layout() const { return layout_; }
  const T* data() const { return block_.as<T>(); }

 private:
  static Block block_for(const PanelLayout& layout, Index rows, Index cols);
  void check_pack(const ExecContext& ctx, Index rows, Index cols) const;

  Index rows_, cols_;
  PanelLayout layout_;
  Block block_;
};

// Bytes that PackedMatrix<bf16>::pack takes from ctx.scratch for a b of k rows, pack_both for one of k columns.
std::size_t pack_scratch_bytes(const KernelTable& table, int threads, Index k) noexcept;

}  // namespace loglog::kernels
