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
// Errors     std::bad_alloc. ContractError in the product when its table packs differently from the one given here.
#pragma once
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "kernels/exec.hpp"
#include "kernels/pack.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {

// What a product reads: panels of nr columns, each over all of K.
template <class T>
struct PackedView {
  const T* data = nullptr;
  Index rows = 0, cols = 0;
  const std::int32_t* column_sums = nullptr;  // (round_up(cols, nr)), of int8 only
};

// Layout that a family of a table wants: matrices packed for equal layouts can be exchanged.
struct PanelLayout {
  int nr, group, depth_multiple;
  friend bool operator==(const PanelLayout&, const PanelLayout&) = default;

  Index padded_depth(Index k) const { return round_up(k, depth_multiple); }
  Index elements(Index k, Index n) const { return padded_depth(k) * round_up(n, nr); }
};
PanelLayout layout_of(const GemmBf16& kernel);
PanelLayout layout_of(const GemmS8& kernel);

// The columns of b into `out`, layout.elements(K, N) of them.
void pack_columns(bf16* out, ConstMatrix<bf16> b, const PanelLayout& layout);
void pack_columns(std::int8_t* out, ConstMatrix<std::int8_t> b, const PanelLayout& layout);

// Some rows of A, over some of K, as the family wants them.
void pack_rows_for(const GemmBf16& kernel, std::byte* out, LanesView<bf16> in, Index rows, Index depth);
void pack_rows_for(const GemmS8& kernel, std::byte* out, LanesView<std::int8_t> in, Index rows, Index depth);

// Sums over K of every packed column, round_up(n, nr) of them.
void sum_columns(std::int32_t* sums, const std::int8_t* packed, Index k, Index n, const PanelLayout& layout);

template <class T>
class PackedMatrix {
 public:
  PackedMatrix(const KernelTable& table, ConstMatrix<T> b);

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  const PanelLayout& layout() const { return layout_; }
  PackedView<T> view() const {
    return {data_.get(), rows_, cols_, column_sums_.empty() ? nullptr : column_sums_.data()};
  }

 private:
  struct Free {
    void operator()(T* p) const noexcept { ::operator delete[](p, std::align_val_t{kCacheLineBytes}); }
  };
  Index rows_, cols_;
  PanelLayout layout_;
  std::unique_ptr<T[], Free> data_;
  std::vector<std::int32_t> column_sums_;  // of int8 only
};

}  // namespace loglog::kernels
