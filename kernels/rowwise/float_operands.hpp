// Operands of float32 or bfloat16 for tiles that compute in float32.
#pragma once
#include <array>
#include <utility>

#include "kernels/rowwise/rows.hpp"

namespace loglog::kernels {

// Of a tile, and the elements of one that are widened at a time; they stay in L1.
inline constexpr Index kMostFloatOperands = 5;
inline constexpr Index kStagedElements = 1 << 12;
constexpr Index staged_room(Index cols) {
  return std::max(kStagedElements, WaitingRows::padded(cols));
}

// The operands of a tile, which computes in float32. Of one in bfloat16 a few rows at a time, which stay in L1, are widened
// beside it or rounded from there; so the bits are those of a tile on widened operands, its results rounded once.
template <std::size_t Outs, std::size_t Ins>
class FloatOperands {
 public:
  static_assert(Ins >= 1 && Outs + Ins <= kMostFloatOperands);

  FloatOperands(ExecContext& ctx, const std::array<FloatMatrix, Outs>& outs,
                const std::array<ConstFloatMatrix, Ins>& ins)
      : frame_(ctx.scratch), rowwise_(*ctx.kernels.rowwise), outs_(outs), ins_(ins) {
    check_threads(ctx.threads);
    for (const FloatMatrix& out : outs_) {
      staged_ = staged_ || is_staged(out.type);
      for (const ConstFloatMatrix& in : ins_)
        if (stores_for(out, in.data) == Stores::cached) stores_ = Stores::cached;
    }
    for (const ConstFloatMatrix& in : ins_) staged_ = staged_ || is_staged(in.type);
    if (staged_)
      rooms_ = frame_.take<float>(static_cast<std::size_t>(ctx.threads * kOperands * staged_room(cols())));
  }

  // tile(first, count, outs, ins, stores) in order on rows [first, first + count), which may come in parts. Two callers at
  // a time differ in `thread`.
  template <class Tile>
  void run(Index first, Index count, int thread, Tile&& tile) const {
    const Index step = staged_ ? std::max<Index>(1, kStagedElements / std::max<Index>(cols(), 1)) : count;
    for (Index r = first; r < first + count; r += step)
      run_part(r, std::min(step, first + count - r), thread, tile);
  }

 private:
  static constexpr Index kOperands = Outs + Ins;
  static constexpr bool is_staged(FloatType type) { return type != FloatType::float32; }
  Index cols() const { return ins_[0].cols; }

  template <class Tile>
  void run_part(Index first, Index count, int thread, Tile&& tile) const {
    float* free_room = staged_ ? rooms_ + thread * kOperands * staged_room(cols()) : nullptr;
    const auto next_room = [&] { return std::exchange(free_room, free_room + staged_room(cols())); };
    std::array<ConstMatrixRef, Ins> ins;
    for (std::size_t i = 0; i < Ins; ++i) {
      if (!is_staged(ins_[i].type)) {
        ins[i] = rows_of(ins_[i].template as<float>(), first, count);
        continue;
      }
      const MatrixRef widened(next_room(), count, cols());
      rowwise_.widen(widened, rows_of(ins_[i].template as<bf16>(), first, count), Stores::cached);
      ins[i] = widened;
    }
    std::array<MatrixRef, Outs> outs;
    for (std::size_t i = 0; i < Outs; ++i)
      outs[i] = is_staged(outs_[i].type) ? MatrixRef(next_room(), count, cols())
                                         : rows_of(outs_[i].template as<float>(), first, count);
    tile(first, count, outs, ins, staged_ ? Stores::cached : stores_);
    for (std::size_t i = 0; i < Outs; ++i)
      if (is_staged(outs_[i].type))
        rowwise_.narrow(rows_of(outs_[i].template as<bf16>(), first, count), outs[i], stores_);
  }

  ScratchFrame frame_;
  const Rowwise& rowwise_;
  std::array<FloatMatrix, Outs> outs_;
  std::array<ConstFloatMatrix, Ins> ins_;
  bool staged_ = false;
  Stores stores_ = Stores::streamed;
  float* rooms_ = nullptr;
};

// tile(first, count, outs, ins, stores) on all rows of operands of one shape (FloatOperands).
template <std::size_t Outs, std::size_t Ins, class Tile>
void for_float_rows(ExecContext& ctx, const std::array<FloatMatrix, Outs>& outs,
                    const std::array<ConstFloatMatrix, Ins>& ins, Tile&& tile) {
  const FloatOperands<Outs, Ins> operands(ctx, outs, ins);
  for_pieces(ctx, ins[0].rows, ins[0].cols,
             [&](Index first, Index count, int thread) { operands.run(first, count, thread, tile); });
}

}  // namespace loglog::kernels
