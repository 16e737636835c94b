#include "kernels/attention.hpp"

#include "base/check.hpp"
#include "kernels/attention_work.hpp"
#include "kernels/check_matrix.hpp"
#include "kernels/parallel.hpp"
#include "kernels/profile.hpp"

namespace loglog::kernels {
namespace {

template <class Operand>
void check_operand(const char* name, const Operand& x, const AttentionShape& s, Index rows, Index heads) {
  LOGLOG_CHECK(x.rows == rows && x.cols == heads * s.head_size && x.col_stride == 1,
               "{} is {}x{} with column stride {}, wanted {}x{} (B={} T={} H={} D={} kv_heads={})", name,
               x.rows, x.cols, x.col_stride, rows, heads * s.head_size, s.batch, s.time, s.heads, s.head_size,
               kv_heads_of(s));
}

// Blocks of rows into which forward cuts each group of a sequence; no sum crosses them.
Index row_blocks(Index forward_rows, const AttentionShape& s, const AttentionSequence& rows) {
  return ceil_div(rows.queries * group_heads(s), forward_rows);
}

Index forward_units(Index forward_rows, const AttentionShape& s) {
  return kv_heads_of(s) *
         sum_over_sequences(s, [&](const AttentionSequence& x) { return row_blocks(forward_rows, s, x); });
}

std::size_t forward_scratch_bytes(const KernelTable& table, int threads, const AttentionShape& s) {
  return largest(table, [&](const auto& kernel) {
    const Index floats = thread_floats(kernel.forward_scratch_floats(s.head_size));
    const int team = team_size(threads, forward_units(kernel.forward_rows, s));
    return round_up_to_cache_line(static_cast<std::size_t>(s.batch + 1) * sizeof(Index)) +
           static_cast<std::size_t>(floats * team) * sizeof(float);
  });
}

struct Forward {
  FloatMatrix out;
  float* lse;
  ConstFloatMatrix q;
  ConstKeyValueMatrix k, v;
};

template <class Kernel>
void run_forward(ExecContext& ctx, const Kernel& kernel, const Forward& x, const AttentionShape& shape) {
  ScratchFrame frame(ctx.scratch);
  const AttentionUnits units(
      shape, frame.take<Index>(static_cast<std::size_t>(shape.batch + 1)),
      [&](const AttentionSequence& rows) { return row_blocks(kernel.forward_rows, shape, rows); });
  const int team = team_size(ctx.threads, units.count());
  const Index floats = thread_floats(kernel.forward_scratch_floats(shape.head_size));
  float* const scratch = frame.take<float>(static_cast<std::size_t>(floats * team));
  parallel_tasks(team, units.count(), [&](Index unit, int thread) {
    const GroupPosition at = units.group(unit);
    const AttentionGroup group = group_at(at, x.q, x.k, x.v, shape);
    // The last block of a causal sequence has the most keys: first come the long ones.
    const Index block = units.parts(at.sequence) - 1 - (unit - units.first(at));
    const Index first = block * kernel.forward_rows;
    const Index last = std::min(first + kernel.forward_rows, group.queries * group.heads);
    const AttentionSequence rows = sequence_of(shape, at.sequence);
    kernel.forward(
        group,
        {x.out.from(rows.query, at.kv_head * group.heads * shape.head_size), x.lse + lse_offset(at, shape)},
        first, last, scratch + thread * floats);
  });
}

}  // namespace

void check_attention_shape(const AttentionShape& s, Index query_rows, Index key_rows) {
  LOGLOG_CHECK(s.batch >= 0 && s.time >= 0 && s.heads >= 0 && s.head_size >= 0 && s.kv_heads >= 0,
               "negative dimension: B={} T={} H={} D={} kv_heads={}", s.batch, s.time, s.heads, s.head_size,
               s.kv_heads);
  LOGLOG_CHECK(query_rows >= 0 && key_rows >= 0, "{} rows of queries and {} of keys", query_rows, key_rows);
  const Index kv_heads = kv_heads_of(s);
  LOGLOG_CHECK(s.heads == 0 || (kv_heads > 0 && s.heads % kv_heads == 0),
               "{} heads share {} of keys and values", s.heads, kv_heads);
  LOGLOG_CHECK(
      s.mask.window >= 1 && s.mask.window <= kUnlimited && s.mask.prefix >= 0 && s.mask.prefix <= kUnlimited,
      "mask with window {} and prefix {}", s.mask.window, s.mask.prefix);
  if (s.sequences == nullptr) {
    LOGLOG_CHECK(query_rows == s.batch * s.time && key_rows == s.batch * s.time,
                 "{} rows of queries and {} of keys, wanted {} (B={} T={})", query_rows, key_rows,
                 s.batch * s.time, s.batch, s.time);
    return;
  }
  Index next = 0;
  for (Index b = 0; b < s.batch; ++b) {
    const AttentionSequence& x = s.sequences[b];
    // Differences of numbers that are not negative: no sum of them has to fit into an Index.
    LOGLOG_CHECK(x.query >= next && x.queries >= 0 && x.queries <= query_rows - x.query && x.key >= 0 &&
                     x.keys >= 0 && x.keys <= key_rows - x.key,
                 "sequence {} has {} queries from row {} and {} keys from row {}, of {} and {} rows; its "
                 "queries may begin at {}",
                 b, x.queries, x.query, x.keys, x.key, query_rows, key_rows, next);
    next = x.query + x.queries;
  }
}

void check_queries(const char* name, const ConstFloatMatrix& x, const AttentionShape& shape, Index rows) {
  check_operand(name, x, shape, rows, shape.heads);
}

void check_keys(const char* name, const ConstKeyValueMatrix& x, const AttentionShape& shape, Index rows) {
  check_operand(name, x, shape, rows, kv_heads_of(shape));
}

void check_queries_out(const char* name, const FloatMatrix& x, const AttentionShape& shape, Index rows) {
  check_queries(name, x, shape, rows);
  check_rows_apart(name, x.rows, x.cols, x.row_stride);
}

void check_keys_out(const char* name, const FloatMatrix& x, const AttentionShape& shape, Index rows) {
  check_keys(name, x, shape, rows);
  check_rows_apart(name, x.rows, x.cols, x.row_stride);
}

void attention_forward(ExecContext& ctx, const FloatMatrix& out, float* lse, const ConstFloatMatrix& q,
                       const ConstKeyValueMatrix& k, const ConstKeyValueMatrix& v,
                       const AttentionShape& shape) {
  const Timed timed(ctx, KernelFamily::attention);
  check_threads(ctx.threads);
  check_attention_shape(shape, q.rows, k.rows);
  check_queries_out("out", out, shape, q.rows);
  check_queries("q", q, shape, q.rows);
  check_keys("k", k, shape, k.rows);
  check_keys("v", v, shape, k.rows);
  if (shape.heads == 0) return;
  with_attention(ctx.kernels, is_bf16(q) && is_bf16(k) && is_bf16(v), [&](const auto& kernel) {
    run_forward(ctx, kernel, {out, lse, q, k, v}, shape);
  });
}

std::size_t attention_scratch_bytes(const KernelTable& table, int threads,
                                    const AttentionShape& shape) noexcept {
  if (shape.heads == 0) return 0;
  return std::max(forward_scratch_bytes(table, threads, shape),
                  attention_backward_scratch_bytes(table, threads, shape));
}

}  // namespace loglog::kernels
