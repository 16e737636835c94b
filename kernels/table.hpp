// The kernels of one instruction set as constant data: one pointer per family.
//
// This is the only thing that drivers know of an ISA. A family holds no null pointer
// (tests/kernels/test_isa.cpp walks them); every function is noexcept, allocates nothing and runs on one thread.
#pragma once
#include <cstdint>
#include <limits>

#include "kernels/activations.hpp"
#include "kernels/attention_mask.hpp"
#include "kernels/bf16.hpp"
#include "kernels/float_matrix.hpp"
#include "kernels/key_value_matrix.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels {

// One strip of a matrix product: C[m, n] (+)= A[m, k] * B[k, n] with n <= nr and any m, k >= 1.
//
//   a   element (i, p) of row tile t lies at a[t * a_tile + i * a_row + p * a_step], i < mr. Packed: a_row = 1,
//       a_step = mr, a_tile = mr * k. In place: a_row, a_step = the strides of A, a_tile = mr * a_row.
//   b   element (p, j) at b[p * b_step + j]; of each row as many whole vectors are read as hold n elements.
//   c   element (i, j) at c[i * c_row + j]; only m x n elements are touched, and read only if `add`.
struct GemmStrip {
  Index m, k;
  int n;
  const float* a;
  Index a_row, a_step, a_tile;
  const float* b;
  Index b_step;
  float* c;
  Index c_row;
  bool add;
};

// The epilogue of gemm.hpp on one strip of m x n sums; members without data are left out.
struct EpilogueStrip {
  Index m, n;
  const float* sums;
  Index sums_row;
  FloatRows out;      // (m, n), may be the sums
  const float* bias;  // (n)
  Activation activation;
  FloatRows slope;        // (m, n), of out's type
  ConstFloatRows factor;  // (m, n), of out's type
  const float* residual;  // (m, n)
  Index residual_row;
};
using EpilogueTile = void (*)(const EpilogueStrip&) noexcept;

// How a row of A comes to a PackedStrip (the overloads of pack_panels in pack.hpp).
enum class PackedA : int {
  groups = 1,  // elements as they are, in groups of `group`
  widened,     // bfloat16 as float32; int8 as int16, steps of a group of four in the order 0 2 1 3
  tiles,       // in groups of 64 bytes
};

// What a product of floats makes of magnitudes below 2^-126.
enum class Subnormals : int {
  kept = 1,
  flushed,  // in operands, and in the result of each step: they count as zero
};

// One strip of a product of packed operands: C[m, n] (+)= A B with n <= nr and any m >= 1, over `groups` groups of depth.
//
//   a   a_row == 0: panels of mr rows, or a single one of m rows rounded up to a multiple of row_multiple, as `packed_a` says.
//       Else, where reads_a_in_place and m is a multiple of row_multiple: A as it lies, its rows a_row elements apart, `groups`
//       whole groups of depth in each; where a_end is not null, all but the last depth_multiple of depth, which lie at a_end as
//       they are packed; then m <= mr.
//   b   one panel of nr columns in groups of `group`
//   c   element (i, j) at c[i * c_row + j]; only m x n elements are touched, and read only if `add`
//   row_compensation   where b_plus_128: (m) what the sums of a row begin with, beside C; null: 0
//   b_streams          a hint: B comes from memory, few rows against all of it
template <class T, class Sum>
struct PackedStrip {
  Index m, groups;
  int n;
  const void* a;
  Index a_row;
  const void* a_end;
  const Sum* row_compensation;
  const T* b;
  Sum* c;
  Index c_row;
  bool add;
  bool b_streams = false;
};

// How a product of packed operands is cut for the caches. Either a block of A stays in L2 while all columns go by, or, where
// b_bytes is not kWholeB, a block of B of so many bytes does while all rows go by.
inline constexpr Index kWholeB = std::numeric_limits<Index>::max();
struct PackedBlocks {
  Index rows;         // of A that a strip takes at a time
  Index depth_bytes;  // of a row of A or a column of B in a block of K
  Index b_bytes;
  Index in_place_columns;    // A is read in place by jobs of fewer columns,
  Index in_place_row_bytes;  // where its rows are at least so long
};

// Where a tile is registers of vectors: a strip of B stays in L1, a block of A in L2 (144 KiB; 288 where elements are widened: half
// as many rows there were not measured). With few columns each packed element of A would be used too seldom; with short rows the
// start and the end of a tile are most of it.
inline constexpr PackedBlocks kVectorBlocks = {
    .rows = 144, .depth_bytes = 1024, .b_bytes = kWholeB, .in_place_columns = 384, .in_place_row_bytes = 64};

// Products of T with sums of Sum. Sums of integers are exact modulo 2^32.
template <class T, class Sum>
struct PackedGemm {
  int mr, row_multiple, nr;
  int group;           // steps of depth of a column of B that lie side by side
  int depth_multiple;  // of groups * group of a strip
  PackedBlocks blocks;
  PackedA packed_a;
  bool reads_a_in_place;
  bool b_plus_128;        // B is packed with 128 added to it
  Subnormals subnormals;  // kept for integers
  void (*strip)(const PackedStrip<T, Sum>&) noexcept;
  // Where b_plus_128: -128 times the sum of each row of A, for PackedStrip::row_compensation.
  void (*row_compensation)(Sum* out, ConstMatrix<T> a) noexcept;
  EpilogueTile epilogue;  // of sums, or what is made of them, in float32
  // Around the strips of a thread, for registers that the rest of the program does without.
  void (*begin)() noexcept;
  void (*end)() noexcept;
};
using GemmBf16 = PackedGemm<bf16, float>;
using GemmS8 = PackedGemm<std::int8_t, std::int32_t>;

struct GemmF32 {
  int mr;         // rows of the register tile
  int nr;         // its columns
  int vector;     // of them in a vector
  bool in_place;  // takes no packed A, and strips of fewer vectors by higher tiles
  void (*strip)(const GemmStrip&) noexcept;
  EpilogueTile epilogue;
};

// The queries of one sequence that share its keys and values: `heads` heads of them. Row r of such a group is head r % heads
// of query r / heads, so that rows ascend with positions; their keys and values are `keys` rows of one head. In memory head
// g of a query begins g * head_size elements behind its row.
struct AttentionGroup {
  Index queries, keys, heads, head_size;
  AttentionMask mask;
  float scale;  // 1 / sqrt(D)
  ConstFloatRows q;
  ConstKeyValueRows k, v;  // backward: not of int8

  // Where row r begins in q, or in what has its shape, whose rows are row_stride elements apart; and its log-sum-exp.
  [[gnu::always_inline]] constexpr Index offset(Index r, Index row_stride) const {
    return r / heads * row_stride + r % heads * head_size;
  }
  [[gnu::always_inline]] constexpr Index lse_at(Index r) const { return r % heads * queries + r / heads; }
};

// Keys of one step of the online softmax, counted from the first key of the sequence: part of attention's order of summation.
inline constexpr Index kSoftmaxKeys = 256;

// What forward writes: head g of query i has the log-sum-exp lse[g * queries + i].
struct AttentionGroupResult {
  FloatRows out;
  float* lse;
};

// What backward reads and writes beside the group.
struct AttentionGroupGradient {
  ConstFloatRows d_out, out;
  const float* lse;
  FloatRows d_q, d_k, d_v;
  float* d_q_sums;  // (rows, sums_row(D)) sums of d_q over the keys so far
  float* delta;     // (rows) sum_d d_out * out
};

// Part of a group: rows [first_row, last_row) against a block of keys.
struct AttentionBlock {
  Index first_key, last_key;  // at most backward_keys
  Index first_row, last_row;  // at most backward_rows
  bool is_first,
      is_last;  // of the blocks of keys that these rows meet: begins d_q_sums and delta, writes d_q
};

struct Attention {
  Index forward_rows, backward_rows, backward_keys;
  // All keys of at most forward_rows rows.
  void (*forward)(const AttentionGroup&, const AttentionGroupResult&, Index first_row, Index last_row,
                  float* scratch) noexcept;
  // For one block of keys: begin, blocks of rows in ascending order, end; what they have in common lies in scratch.
  void (*backward_begin)(const AttentionGroup&, Index first_key, Index last_key, float* scratch) noexcept;
  void (*backward_block)(const AttentionGroup&, const AttentionGroupGradient&, const AttentionBlock&,
                         float* scratch) noexcept;
  void (*backward_end)(const AttentionGroup&, const AttentionGroupGradient&, Index first_key, Index last_key,
                       float* scratch) noexcept;
  Index (*forward_scratch_floats)(Index head_size) noexcept;
  Index (*backward_scratch_floats)(Index head_size) noexcept;
  Index (*sums_row)(Index head_size) noexcept;
};

// Running maximum and sum of exp(scale (score - maximum)) of one row's scores.
struct OnlineSoftmax {
  float maximum = -std::numeric_limits<float>::infinity(), sum = 0.0f;
};

// A tile of scores, of which row i sees the columns [first[i], last[i]). Weights beside them up to `cols` become 0. `scores`
// may be overwritten. Rows of all have room up to a whole vector of the widest ISA, 64 bytes, which may be read and written.
struct SoftmaxTile {
  Index rows, cols;
  const Index *first, *last;
  float scale;
  float* scores;  // (rows, cols)
  Index score_row;
  bf16* weights;  // (rows, cols) exp(scale (scores - maximum))
  Index weight_row;
  OnlineSoftmax* state;  // (rows)
  float* sums;           // (rows, sums_cols), brought to the new maximum
  Index sums_row, sums_cols;
};

// The same of backward: weights = exp(scale scores - lse), d_scores = weights (d_weights - delta).
struct ScoreGradientTile {
  Index rows, cols;
  const Index *first, *last;
  float scale;
  const float *scores, *d_weights;  // (rows, cols)
  Index score_row;
  const float *lse, *delta;  // (rows)
  bf16 *weights, *d_scores;  // (rows, cols)
  Index weight_row;
};

// What attention_bf16.hpp does with rows between its products.
struct AttentionRows {
  void (*softmax)(const SoftmaxTile&) noexcept;
  void (*score_gradients)(const ScoreGradientTile&) noexcept;
  // out = sums / sum, lse = scale * maximum + log(sum); 0 and -inf for a row that sees nothing.
  void (*finish)(void* out, FloatType, float* lse, const float* sums, Index n, float scale,
                 const OnlineSoftmax&) noexcept;
  // out = factor * in
  void (*store_row)(void* out, FloatType, const float* in, Index n, float factor) noexcept;
  float (*dot)(const void* a, FloatType, const void* b, FloatType, Index n) noexcept;
};

// What is the same for all elements of an AdamWStep (rowwise/optimizer.hpp).
struct AdamWCoefficients {
  float lr, beta1, one_minus_beta1, beta2, one_minus_beta2, epsilon, weight_decay, grad_scale;
  float correct1, correct2;  // 1 / (1 - beta^step)
};
// Likewise of an SgdStep.
struct SgdCoefficients {
  float lr, momentum, weight_decay, keep, grad_scale;  // keep: factor of the parameter
};

// The tables of a Rotary (rowwise/rotary.hpp) and which way to turn.
struct RotaryHeads {
  Index head_size;
  ConstMatrixRef cos, sin;
  float direction;  // 1 or -1, a factor of sin
};

// How results go to memory. Streamed: past the caches where rows of whole vectors allow it, cached elsewhere; the same
// bits.
enum class Stores : int { cached, streamed };

// Contracts as in rowwise/activation.hpp, on the rows given.
struct ActivationTiles {
  void (*forward)(MatrixRef out, ConstMatrixRef in, Stores) noexcept;
  void (*backward)(MatrixRef d_in, ConstMatrixRef d_out, ConstMatrixRef in, Stores) noexcept;
  void (*gated_forward)(MatrixRef out, ConstMatrixRef gate, ConstMatrixRef up, Stores) noexcept;
  void (*gated_backward)(MatrixRef d_gate, MatrixRef d_up, ConstMatrixRef d_out, ConstMatrixRef gate,
                         ConstMatrixRef up, Stores) noexcept;
};

// Contracts as in rowwise/*.hpp, on the rows given; gradients of parameters are added to d_gain, d_bias and out.
struct Rowwise {
  void (*narrow)(Matrix<bf16> out, ConstMatrix<float> in, Stores) noexcept;
  void (*widen)(Matrix<float> out, ConstMatrix<bf16> in, Stores) noexcept;
  void (*layernorm_forward)(MatrixRef out, float* mean, float* rstd, ConstMatrixRef in, const float* gain,
                            const float* bias, float epsilon, Stores) noexcept;
  void (*layernorm_backward)(MatrixRef d_in, float* d_gain, float* d_bias, ConstMatrixRef d_out,
                             ConstMatrixRef in, const float* mean, const float* rstd, const float* gain,
                             Stores) noexcept;
  void (*rmsnorm_forward)(MatrixRef out, float* rstd, ConstMatrixRef in, const float* gain, float epsilon,
                          Stores) noexcept;
  void (*rmsnorm_backward)(MatrixRef d_in, float* d_gain, ConstMatrixRef d_out, ConstMatrixRef in,
                           const float* rstd, const float* gain, Stores) noexcept;
  ActivationTiles relu, gelu, silu, gelu_erf;
  void (*rotary_interleaved)(MatrixRef out, ConstMatrixRef in, const std::int32_t* positions,
                             const RotaryHeads&, Stores) noexcept;
  void (*rotary_halves)(MatrixRef out, ConstMatrixRef in, const std::int32_t* positions, const RotaryHeads&,
                        Stores) noexcept;
  // waiting (cols): a row of exponentials waits there for its sum where results are streamed.
  void (*softmax_forward)(MatrixRef out, ConstMatrixRef in, float scale, Stores, float* waiting) noexcept;
  void (*softmax_backward)(MatrixRef d_in, ConstMatrixRef d_out, ConstMatrixRef out, float scale,
                           Stores) noexcept;
  // d_logits.data may be null: losses alone. waiting: as for softmax.
  void (*cross_entropy)(float* losses, MatrixRef d_logits, ConstMatrixRef logits, const std::int32_t* targets,
                        std::int32_t ignore, float scale, float z_weight, Stores, float* waiting) noexcept;
  void (*add)(MatrixRef out, ConstMatrixRef a, ConstMatrixRef b, Stores) noexcept;
  void (*add_columns)(float* out, ConstMatrixRef in) noexcept;
  double (*square_sum)(const float* x, Index n) noexcept;
  void (*adamw)(float* param, float* m, float* v, const float* grad, Index n,
                const AdamWCoefficients&) noexcept;
  void (*sgd)(float* param, const float* grad, Index n, const SgdCoefficients&) noexcept;
  void (*sgd_momentum)(float* param, float* velocity, const float* grad, Index n,
                       const SgdCoefficients&) noexcept;
  void (*sgd_nesterov)(float* param, float* velocity, const float* grad, Index n,
                       const SgdCoefficients&) noexcept;
  // The functions of simd/math.hpp, out[i] = f(in[i]); out may be in.
  void (*exp)(float* out, const float* in, Index n) noexcept;
  void (*exp2_softmax)(float* out, const float* in, Index n) noexcept;  // t <= 127; 0 below -126.5
  void (*exp2)(float* out, const float* in, Index n) noexcept;          // x in -126..128
  void (*log)(float* out, const float* in, Index n) noexcept;
  void (*tanh)(float* out, const float* in, Index n) noexcept;
};

// The smallest and the largest of some numbers and 0.
struct ValueRange {
  float low, high;
};

// Sums of int8 products to floats, in place (gemm_s8.hpp, Int8Scales): C[m, n] of int32 at c becomes
// (C - row_zero * col_sum - col_zero * (row_sum - depth * row_zero)) * row_scale * col_scale.
struct DequantizeStrip {
  Index m, n;
  float* c;  // holds int32
  Index c_row;
  const float *row_scale, *col_scale;      // (m), (n)
  const std::int32_t *row_zero, *row_sum;  // (m); all four null: no zero points
  const std::int32_t *col_zero, *col_sum;  // (n)
  std::int32_t depth;
};

// C[m, n] += A[m, depth] * B[depth, n], each element one chain of multiply-adds that begins with C: zeros in A and a cut of
// the depth change no bit.
struct OuterStrip {
  Index m, n, depth;
  float* c;
  Index c_row;
  const float* a;
  Index a_row;
  const float* b;  // rows of whole vectors
  Index b_row;
};

// What surrounds products of int8 (int8.hpp). An element of x with |x| < limit is an inlier, any other, NaN too, an outlier.
struct Int8 {
  // The range of the inliers; outliers[j] (if there) becomes 1 where x[j] is none and stays as it is elsewhere.
  ValueRange (*inlier_range)(const float* x, const float* limits, Index n, std::uint8_t* outliers) noexcept;
  // q = round(x * inverse_scale) + zero, within -128..127, `zero` for outliers; the sum of q.
  std::int32_t (*quantize)(std::int8_t* q, const float* x, const float* limits, Index n, float inverse_scale,
                           std::int32_t zero) noexcept;
  void (*dequantize)(const DequantizeStrip&) noexcept;
  void (*add_outer)(const OuterStrip&) noexcept;
};

// A panel of quantised weights over all of K, nr columns as GemmF32 has. Step p of column j is scale (q - zero), rounded once.
struct QuantizedPanel {
  Index group;               // steps that share a scale and a zero, counted from step 0
  const std::uint8_t* q;     // (K, nr); of 4 bits (ceil(K / 2), nr): even steps in the lower half of a byte
  const float* scale;        // (ceil(K / group), nr)
  const std::uint8_t* zero;  // likewise
};

// Weights of so many bits (weight_only.hpp).
struct WeightOnlyBits {
  // Steps [first, first + steps) as float32, (steps, nr).
  void (*unpack)(float* out, const QuantizedPanel&, Index first, Index steps) noexcept;
  // C[m, n] (+)= A[m, k] B with the bits of GemmF32::strip; m <= rows, B being the steps [first, first + k) in place of strip.b.
  void (*strip)(const GemmStrip&, const QuantizedPanel&, Index first) noexcept;
};
struct WeightOnly {
  int rows;  // that a strip takes at most
  WeightOnlyBits bits_8, bits_4;
};

// Loops on registers for peak.hpp: what one returns depends on all that it computes.
struct PeakLoop {
  Index ops_per_iteration;  // a multiplication and an addition are two
  float (*run)(Index iterations) noexcept;
};

// Loops for peak.hpp. That of a product of short types is made of the instructions of the ISA's tile for them; one that
// needs a state of the processor (a configuration of tiles) sets and leaves it in each call.
struct Peak {
  PeakLoop fma, dot_bf16, dot_s8;
  float (*read)(const float* in, Index n) noexcept;
  void (*copy)(float* out, const float* in, Index n) noexcept;
  void (*copy_streamed)(float* out, const float* in, Index n) noexcept;  // out on a vector's boundary
};

// In the table that an ISA with a base is compiled to (simd/isa_products.cpp) what it does not provide is null; isa.cpp
// takes it from the base.
struct KernelTable {
  const char* name;
  const char* float32;  // the ISA of its float32 families: results of float32 have the bits of this one
  const GemmF32* gemm_f32;
  const GemmF32* gemm_f32_in_place;  // where A is never packed; may be gemm_f32
  const GemmBf16* gemm_bf16;
  const GemmS8* gemm_s8;
  const Attention* attention;
  const AttentionRows* attention_rows;
  const Rowwise* rowwise;
  const Int8* int8;
  const WeightOnly* weight_only;
  const Peak* peak;
};

}  // namespace loglog::kernels
