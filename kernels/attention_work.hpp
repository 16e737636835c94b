// What the drivers of attention share: the groups of heads of a batch, and the cut of their work into units.
#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/attention.hpp"
#include "kernels/attention_bf16.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels {

inline Index kv_heads_of(const AttentionShape& s) {
  return s.kv_heads == 0 ? s.heads : s.kv_heads;
}

// Query heads that share one head of keys and values. heads > 0.
inline Index group_heads(const AttentionShape& s) {
  return s.heads / kv_heads_of(s);
}

inline AttentionSequence sequence_of(const AttentionShape& s, Index b) {
  return s.sequences == nullptr ? AttentionSequence{b * s.time, s.time, b * s.time, s.time} : s.sequences[b];
}

// One head of k and v of one sequence.
struct GroupPosition {
  Index sequence, kv_head;
};

inline AttentionGroup group_at(const GroupPosition& at, const ConstFloatMatrix& q,
                               const ConstKeyValueMatrix& k, const ConstKeyValueMatrix& v,
                               const AttentionShape& s) {
  const AttentionSequence rows = sequence_of(s, at.sequence);
  const Index heads = group_heads(s), size = s.head_size;
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(std::max<Index>(size, 1))));
  return {rows.queries,
          rows.keys,
          heads,
          size,
          s.mask,
          scale,
          q.from(rows.query, at.kv_head * heads * size),
          k.head(rows.key, at.kv_head, size),
          v.head(rows.key, at.kv_head, size)};
}

// Where the log-sum-exp of a group begins.
inline Index lse_offset(const GroupPosition& at, const AttentionShape& s) {
  const AttentionSequence rows = sequence_of(s, at.sequence);
  return rows.query * s.heads + at.kv_head * group_heads(s) * rows.queries;
}

// Units of work, numbered by sequence, then head of k and v, then part; every group of a sequence has the same number.
class AttentionUnits {
 public:
  // parts(sequence) is the number of one group's parts; `starts` has room for batch + 1 numbers.
  template <class Parts>
  AttentionUnits(const AttentionShape& s, Index* starts, Parts parts)
      : starts_(starts), batch_(s.batch), kv_heads_(kv_heads_of(s)) {
    starts_[0] = 0;
    for (Index b = 0; b < batch_; ++b) starts_[b + 1] = starts_[b] + kv_heads_ * parts(sequence_of(s, b));
  }
  Index count() const { return starts_[batch_]; }
  Index parts(Index sequence) const { return (starts_[sequence + 1] - starts_[sequence]) / kv_heads_; }
  // The first unit of a group.
  Index first(const GroupPosition& at) const {
    return starts_[at.sequence] + at.kv_head * parts(at.sequence);
  }
  GroupPosition group(Index unit) const {
    const Index sequence = std::upper_bound(starts_, starts_ + batch_ + 1, unit) - starts_ - 1;
    return {sequence, (unit - starts_[sequence]) / parts(sequence)};
  }

 private:
  Index* starts_;
  Index batch_, kv_heads_;
};

// Sequences times heads of k and v.
inline Index group_count(const AttentionShape& s) {
  return s.batch * kv_heads_of(s);
}

// count(sequence) of all sequences together: of equal ones, whose number a plan may ask for without having them, in one step.
template <class Count>
Index sum_over_sequences(const AttentionShape& s, Count&& count) {
  if (s.sequences == nullptr) return s.batch == 0 ? 0 : s.batch * count(sequence_of(s, 0));
  Index sum = 0;
  for (Index b = 0; b < s.batch; ++b) sum += count(s.sequences[b]);
  return sum;
}

// Rows of the largest group.
inline Index longest_group(const AttentionShape& s) {
  if (s.sequences == nullptr) return s.batch == 0 ? 0 : s.time * group_heads(s);
  Index queries = 0;
  for (Index b = 0; b < s.batch; ++b) queries = std::max(queries, s.sequences[b].queries);
  return queries * group_heads(s);
}

// Floats of one thread, a whole number of cache lines so that threads share none.
inline Index thread_floats(Index floats) {
  return static_cast<Index>(round_up_to_cache_line(static_cast<std::size_t>(floats) * sizeof(float)) /
                            sizeof(float));
}

// f(what computes it): the tiles of the table's bfloat16 product where all operands are bfloat16 and it has its own.
template <class F>
auto with_attention(const KernelTable& table, bool all_bf16, F&& f) {
  return all_bf16 && Bf16Attention::is_native(table) ? f(Bf16Attention(table)) : f(*table.attention);
}
inline bool is_bf16(const ConstFloatMatrix& x) {
  return x.type == FloatType::bfloat16 && x.cols > 0;
}
inline bool is_bf16(const ConstKeyValueMatrix& x) {
  return x.type == KeyValueType::bfloat16 && x.cols > 0;
}
// The larger of what it is for either type of operands.
template <class F>
std::size_t largest(const KernelTable& table, F&& f) {
  return std::max(with_attention(table, false, f), with_attention(table, true, f));
}

// Threads that get work when the finest cut of it has `units`; one, where there are fewer threads than that.
inline int team_size(int threads, Index units) {
  return static_cast<int>(std::clamp<Index>(units, 1, std::max(threads, 1)));
}

// ContractError if the shape makes no sense, or if a matrix of queries (out, d_q ..) or of keys does not fit it.
void check_attention_shape(const AttentionShape& shape, Index query_rows, Index key_rows);
void check_queries(const char* name, const ConstFloatMatrix& x, const AttentionShape& shape, Index rows);
void check_keys(const char* name, const ConstKeyValueMatrix& x, const AttentionShape& shape, Index rows);
// As well if rows of what is written overlap.
void check_queries_out(const char* name, const FloatMatrix& x, const AttentionShape& shape, Index rows);
void check_keys_out(const char* name, const FloatMatrix& x, const AttentionShape& shape, Index rows);

// What attention_backward takes from scratch.
std::size_t attention_backward_scratch_bytes(const KernelTable& table, int threads,
                                             const AttentionShape& shape) noexcept;

}  // namespace loglog::kernels
