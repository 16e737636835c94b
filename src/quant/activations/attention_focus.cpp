#include "quant/activations/attention_focus.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/gemm.hpp"
#include "kernels/rowwise/convert.hpp"

namespace loglog::quant {

using kernels::AttentionSequence;
using kernels::ConstMatrixRef;
using kernels::MatrixRef;

// One head on one sequence.
struct AttentionFocus::Head {
  ConstMatrixRef queries, keys;  // (queries, D), (keys, D)
  const float* lse;              // (queries)
  kernels::AttentionMask mask;
};

namespace {

constexpr Index kQueries = 256;  // at a time: scores of as many rows as the longest sequence has keys

ConstMatrixRef as_float(kernels::ExecContext& ctx, const tensor::ConstFloatView& x,
                        std::vector<float>& room) {
  if (x.type == kernels::FloatType::float32) return x.as<float>();
  room.resize(static_cast<std::size_t>(x.rows * x.cols));
  const MatrixRef wide(room.data(), x.rows, x.cols);
  kernels::convert(ctx, wide, x);
  return wide;
}

ConstMatrixRef part(ConstMatrixRef x, Index row, Index rows, Index column, Index columns) {
  return {x.data + row * x.row_stride + column, rows, columns, x.row_stride};
}

template <class Value>
double mean_of(const std::vector<HeadFocus>& heads, Value value) {
  double sum = 0;
  std::size_t counted = 0;
  for (const HeadFocus& head : heads) {
    if (head.queries == 0) continue;
    sum += value(head) / static_cast<double>(head.queries);
    ++counted;
  }
  return counted == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(counted);
}

std::vector<HeadFocus> all_heads(const std::map<Index, std::vector<HeadFocus>>& layers) {
  std::vector<HeadFocus> all;
  for (const auto& [layer, heads] : layers) all.insert(all.end(), heads.begin(), heads.end());
  return all;
}

}  // namespace

void AttentionFocus::add_head(kernels::ExecContext& ctx, const Head& head, HeadFocus& sums) {
  const Index queries = head.queries.rows, keys = head.keys.rows;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head.queries.cols));
  for (Index begin = 0; begin < queries; begin += kQueries) {
    const Index count = std::min(kQueries, queries - begin);
    // No query of these sees a key beyond those of the last.
    const Index seen = head.mask.keys_of(begin + count - 1, queries, keys).last;
    scores_.resize(std::max(scores_.size(), static_cast<std::size_t>(count * seen)));
    const MatrixRef scores(scores_.data(), count, seen);
    scratch_.reserve(kernels::gemm_scratch_bytes(ctx.kernels, ctx.threads, count, seen, head.queries.cols));
    kernels::ExecContext own{ctx.kernels, ctx.threads, scratch_};
    kernels::gemm(own, part(head.queries, begin, count, 0, head.queries.cols),
                  part(head.keys, 0, seen, 0, head.keys.cols).transposed(), scores);
    for (Index i = 0; i < count; ++i) {
      const auto [first, last] = head.mask.keys_of(begin + i, queries, keys);
      if (last - first < 2) continue;
      const float* const row = scores.data + i * seen;
      const float lse = head.lse[begin + i];
      sums.top1 += std::exp(double(scale * *std::max_element(row + first, row + last)) - double(lse));
      sums.sink += first == 0 ? std::exp(double(scale * row[0]) - double(lse)) : 0.0;
      ++sums.queries;
    }
  }
}

void AttentionFocus::add(kernels::ExecContext& ctx, Index layer, const nn::SeenAttention& seen) {
  const kernels::AttentionShape& shape = seen.shape;
  const Index size = shape.head_size, shared = shape.kv_heads == 0 ? 1 : shape.heads / shape.kv_heads;
  const ConstMatrixRef queries = as_float(ctx, seen.queries, queries_),
                       keys = as_float(ctx, seen.keys, keys_);
  std::vector<HeadFocus>& heads = layers_[layer];
  heads.resize(static_cast<std::size_t>(shape.heads));
  for (Index b = 0; b < shape.batch; ++b) {
    const AttentionSequence s = shape.sequences != nullptr ? shape.sequences[b]
                                                           : AttentionSequence{b * shape.time, shape.time,
                                                                               b * shape.time, shape.time};
    for (Index h = 0; h < shape.heads; ++h) {
      const Head head{part(queries, s.query, s.queries, h * size, size),
                      part(keys, s.key, s.keys, h / shared * size, size),
                      seen.lse + s.query * shape.heads + h * s.queries, shape.mask};
      add_head(ctx, head, heads[static_cast<std::size_t>(h)]);
    }
  }
}

double mean_top1(const std::vector<HeadFocus>& heads) {
  return mean_of(heads, [](const HeadFocus& head) { return head.top1; });
}

double mean_sink(const std::vector<HeadFocus>& heads) {
  return mean_of(heads, [](const HeadFocus& head) { return head.sink; });
}

double AttentionFocus::top1() const {
  return mean_top1(all_heads(layers_));
}

double AttentionFocus::sink() const {
  return mean_sink(all_heads(layers_));
}

}  // namespace loglog::quant
