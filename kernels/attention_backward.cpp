#include <atomic>
#include <cstring>
#include <thread>

#include "base/check.hpp"
#include "kernels/attention_work.hpp"
#include "kernels/parallel.hpp"
#include "kernels/profile.hpp"

namespace loglog::kernels {
namespace {

// A unit is one block of keys against all rows of its group. Its d_k and d_v are its own. d_q of a row is a sum over the blocks of
// keys in ascending order, so a unit may come to a block of rows only when the unit before it has left that block: units of a group
// run one behind the other through its rows, and several threads work on one head without another order of any sum.
constexpr Index kDone = kUnlimited;

Index key_blocks(Index backward_keys, const AttentionSequence& x) {
  return std::max<Index>(1, ceil_div(x.keys, backward_keys));  // one zeroes d_q where there is no key
}

Index backward_units(Index backward_keys, const AttentionShape& s) {
  return kv_heads_of(s) *
         sum_over_sequences(s, [&](const AttentionSequence& x) { return key_blocks(backward_keys, x); });
}

// With this many groups per thread each is one task: nobody waits for anybody.
constexpr Index kGroupsPerThread = 4;

template <class Kernel>
Index sums_floats(const Kernel& kernel, const AttentionShape& s) {
  return thread_floats(longest_group(s) * (kernel.sums_row(s.head_size) + 1));
}

struct Operands {
  FloatMatrix d_q, d_k, d_v;
  ConstFloatMatrix d_out, q, k, v, out;
  const float* lse;
};

template <class Kernel>
class Backward {
 public:
  Backward(ExecContext& ctx, const Kernel& kernel, const Operands& x, const AttentionShape& shape)
      : kernel_(kernel),
        x_(x),
        shape_(shape),
        frame_(ctx.scratch),
        units_(shape, frame_.take<Index>(static_cast<std::size_t>(shape.batch + 1)),
               [&](const AttentionSequence& s) { return key_blocks(kernel.backward_keys, s); }),
        team_(team_size(ctx.threads, units_.count())),
        slots_(std::min<Index>(team_, group_count(shape))),
        thread_floats_(thread_floats(kernel_.backward_scratch_floats(shape.head_size))),
        slot_floats_(sums_floats(kernel, shape)),
        progress_(frame_.take<Index>(static_cast<std::size_t>(units_.count()))),
        scratch_(frame_.take<float>(static_cast<std::size_t>(thread_floats_ * team_))),
        sums_(frame_.take<float>(static_cast<std::size_t>(slot_floats_ * slots_))) {
    std::fill_n(progress_, units_.count(), Index{0});
  }

  void run() {
    const Index groups = group_count(shape_);
    const bool whole_groups = groups >= kGroupsPerThread * team_;
    // A unit waits for those before it, so they must have begun: tasks take ascending numbers, whatever the order in which the
    // runtime hands them out.
    std::atomic<Index> next = 0;
    parallel_tasks(team_, whole_groups ? groups : units_.count(), [&](Index, int thread) {
      const Index task = next.fetch_add(1, std::memory_order_relaxed);
      if (!whole_groups) return run_unit(task, thread);
      const GroupPosition at = {task / kv_heads_of(shape_), task % kv_heads_of(shape_)};
      const Index first = units_.first(at);
      for (Index unit = first; unit < first + units_.parts(at.sequence); ++unit) run_unit(unit, thread);
    });
  }

 private:
  // Until `unit` has left all blocks of rows before `block`.
  void wait_for(Index unit, Index block) {
    const std::atomic_ref<Index> progress(progress_[unit]);
    while (progress.load(std::memory_order_acquire) < block) std::this_thread::yield();
  }
  void publish(Index unit, Index block) {
    std::atomic_ref<Index>(progress_[unit]).store(block, std::memory_order_release);
  }

  AttentionGroupGradient gradient_at(const GroupPosition& at, Index group) const {
    const AttentionSequence rows = sequence_of(shape_, at.sequence);
    const Index col = at.kv_head * shape_.head_size, query_col = col * group_heads(shape_);
    float* const sums = sums_ + group % slots_ * slot_floats_;
    return {x_.d_out.from(rows.query, query_col),
            x_.out.from(rows.query, query_col),
            x_.lse + lse_offset(at, shape_),
            x_.d_q.from(rows.query, query_col),
            x_.d_k.from(rows.key, col),
            x_.d_v.from(rows.key, col),
            sums,
            sums + longest_group(shape_) * kernel_.sums_row(shape_.head_size)};
  }

  // The sums of d_q of a group lie where those of the group `slots_` before it did.
  void wait_for_slot(Index group) {
    if (group < slots_) return;
    const Index before = group - slots_;
    const GroupPosition at = {before / kv_heads_of(shape_), before % kv_heads_of(shape_)};
    wait_for(units_.first(at) + units_.parts(at.sequence) - 1, kDone);
  }

  void run_unit(Index unit, int thread) {
    const GroupPosition at = units_.group(unit);
    const Index part = unit - units_.first(at), parts = units_.parts(at.sequence);
    const AttentionGroup group = group_at(at, x_.q, x_.k, x_.v, shape_);
    const Index index = at.sequence * kv_heads_of(shape_) + at.kv_head;
    const AttentionGroupGradient gradient = gradient_at(at, index);
    wait_for_slot(index);  // every part: the first keys that some rows see may be those of any
    float* const scratch = scratch_ + thread * thread_floats_;
    const Index first_key = part * kernel_.backward_keys;
    const Index last_key = std::min(first_key + kernel_.backward_keys, group.keys);
    kernel_.backward_begin(group, first_key, last_key, scratch);
    const Index rows = group.queries * group.heads;
    for (Index row = 0, block = 0; row < rows; row += kernel_.backward_rows, ++block) {
      const Index last_row = std::min(row + kernel_.backward_rows, rows);
      const Index first_part = std::min(
          group.mask.keys_of(row / group.heads, group.queries, group.keys).first / kernel_.backward_keys,
          parts - 1);
      const Index end = group.mask.keys_of((last_row - 1) / group.heads, group.queries, group.keys).last;
      const Index last_part = std::max(first_part, ceil_div(end, kernel_.backward_keys) - 1);
      if (part < first_part || part > last_part) continue;
      if (part > first_part) wait_for(unit - 1, block + 1);
      kernel_.backward_block(group, gradient,
                             {first_key, last_key, row, last_row, part == first_part, part == last_part},
                             scratch);
      publish(unit, block + 1);
    }
    kernel_.backward_end(group, gradient, first_key, last_key, scratch);
    if (part > 0) wait_for(unit - 1, kDone);  // so that the last unit of a group says when its sums are free
    publish(unit, kDone);
  }

  const Kernel& kernel_;
  const Operands& x_;
  const AttentionShape& shape_;
  ScratchFrame frame_;
  AttentionUnits units_;
  int team_;
  Index slots_, thread_floats_, slot_floats_;
  Index* progress_;  // of each unit: the blocks of rows that it has left
  float* scratch_;
  float* sums_;
};

void check_disjoint_keys(const AttentionShape& s) {
  if (s.sequences == nullptr) return;
  Index next = 0;
  for (Index b = 0; b < s.batch; ++b) {
    LOGLOG_CHECK(s.sequences[b].key >= next, "keys of sequence {} begin at row {}, those before it end at {}",
                 b, s.sequences[b].key, next);
    next = s.sequences[b].key + s.sequences[b].keys;
  }
}

// Without query heads: the rows of all sequences, as if some had read them.
void write_zeros(const FloatMatrix& d, const AttentionShape& s) {
  for (Index b = 0; b < s.batch; ++b) {
    const AttentionSequence rows = sequence_of(s, b);
    for (Index i = 0; i < rows.keys; ++i)
      std::memset(d.from(rows.key + i, 0).data, 0, static_cast<std::size_t>(d.cols) * bytes_of(d.type));
  }
}

}  // namespace

void attention_backward(ExecContext& ctx, const FloatMatrix& d_q, const FloatMatrix& d_k,
                        const FloatMatrix& d_v, const ConstFloatMatrix& d_out, const ConstFloatMatrix& q,
                        const ConstFloatMatrix& k, const ConstFloatMatrix& v, const ConstFloatMatrix& out,
                        const float* lse, const AttentionShape& shape) {
  const Timed timed(ctx, KernelFamily::attention);
  check_threads(ctx.threads);
  check_attention_shape(shape, q.rows, k.rows);
  check_disjoint_keys(shape);
  check_queries_out("d_q", d_q, shape, q.rows);
  check_keys_out("d_k", d_k, shape, k.rows);
  check_keys_out("d_v", d_v, shape, k.rows);
  check_queries("d_out", d_out, shape, q.rows);
  check_queries("q", q, shape, q.rows);
  check_keys("k", k, shape, k.rows);
  check_keys("v", v, shape, k.rows);
  check_queries("out", out, shape, q.rows);
  if (shape.batch == 0) return;
  if (shape.heads == 0) {
    write_zeros(d_k, shape);
    write_zeros(d_v, shape);
    return;
  }
  const Operands operands = {d_q, d_k, d_v, d_out, q, k, v, out, lse};
  const bool all_bf16 = is_bf16(q) && is_bf16(k) && is_bf16(v) && is_bf16(d_out);
  with_attention(ctx.kernels, all_bf16,
                 [&](const auto& kernel) { Backward(ctx, kernel, operands, shape).run(); });
}

std::size_t attention_backward_scratch_bytes(const KernelTable& table, int threads,
                                             const AttentionShape& s) noexcept {
  const auto bytes = [](Index count, std::size_t each) {
    return round_up_to_cache_line(static_cast<std::size_t>(count) * each);
  };
  return largest(table, [&](const auto& kernel) {
    const Index units = backward_units(kernel.backward_keys, s);
    const int team = team_size(threads, units);
    return bytes(s.batch + 1, sizeof(Index)) + bytes(units, sizeof(Index)) +
           bytes(thread_floats(kernel.backward_scratch_floats(s.head_size)) * team, sizeof(float)) +
           bytes(sums_floats(kernel, s) * std::min<Index>(team, group_count(s)), sizeof(float));
  });
}

}  // namespace loglog::kernels
