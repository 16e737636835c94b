// What decides no bit of attention: threads, the batch, the other queries of a call, whether keys lie in a cache.
#include "kernels/stored_attention_problem.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

namespace {

// Prefill in one call against calls of `step` new tokens each from position `first` on, with their keys in a cache that has
// room for more rows.
template <class Problem>
void check_decoding(const AttentionShape& shape, Index step, Index first = 0) {
  CAPTURE(shape.time, shape.heads, shape.kv_heads, shape.head_size, step);
  Problem whole(shape);
  whole.forward();
  const auto out = whole.query_rows(whole.out, 0);
  const Index time = shape.time, width = whole.q_width;
  for (Index t = first; t < time; t += step) {
    const Index queries = std::min(step, time - t);
    AttentionShape call = shape;
    call.batch = 2;
    // The same tokens twice, the second sequence behind an empty part of the first one's cache.
    Problem part(
        Batch{call, {{0, queries, 0, t + queries}, {queries, queries, t + queries + 3, t + queries}}});
    part.q.fill([&](Index i, Index j) { return to_double(whole.q(t + i % queries, j)); });
    part.kv.fill([&](Index i, Index j) {
      const Index s = i < t + queries ? i : i - t - queries - 3;
      return s < 0 ? std::nan("") : to_double(whole.kv(s, j));
    });
    part.forward(int(t % 2) + 1);
    REQUIRE(part.intact());
    for (Index b = 0; b < 2; ++b) {
      const auto rows = part.query_rows(part.out, b);
      REQUIRE(compare(queries * width, [&](Index e) { return Element{rows[e], out[t * width + e]}; }));
      REQUIRE(compare(queries * shape.heads, [&](Index e) {
        return Element{part.lse_at(b, e / queries, e % queries),
                       whole.lse_at(0, e / queries, t + e % queries)};
      }));
    }
  }
}

AttentionShape one_sequence(Index time, Index heads, Index size, Index kv_heads, AttentionMask mask = {}) {
  return {.batch = 1, .time = time, .heads = heads, .head_size = size, .kv_heads = kv_heads, .mask = mask};
}

}  // namespace

TEST_CASE("decoding token by token from a cache has the bits of the whole sequence at once", "[large]") {
  check_decoding<AttentionProblem<float>>(one_sequence(90, 4, 24, 2), 1);
  check_decoding<AttentionProblem<float>>(one_sequence(262, 2, 16, 1), 1, 250);  // a second block of keys
  check_decoding<AttentionProblem<float>>(one_sequence(300, 3, 64, 3), 7, 200);
  check_decoding<AttentionProblem<float>>(one_sequence(300, 8, 64, 1), 64);
  check_decoding<AttentionProblem<float>>(one_sequence(100, 2, 20, 1, AttentionMask::window_of(37)), 3);
  check_decoding<AttentionProblem<float>>(one_sequence(530, 2, 20, 1, AttentionMask::window_of(270)), 5, 500);
  check_decoding<AttentionProblem<float, bf16>>(one_sequence(40, 4, 20, 2), 1);
  check_decoding<AttentionProblem<bf16, float>>(one_sequence(40, 4, 20, 2), 1);
  check_decoding<AttentionProblem<bf16>>(one_sequence(270, 4, 32, 1), 5, 240);
  check_decoding<AttentionProblem<bf16>>(one_sequence(270, 4, 32, 1), 1, 250);
}

TEMPLATE_TEST_CASE("so has decoding from a cache in int8", "[large]", float, bf16) {
  using Problem = StoredProblem<TestType>;
  check_decoding<Problem>(one_sequence(90, 4, 24, 2), 1);
  check_decoding<Problem>(one_sequence(300, 3, 64, 3), 7, 200);
  check_decoding<Problem>(one_sequence(262, 16, 20, 1), 1,
                          250);  // more heads to a key than are done in place
  check_decoding<Problem>(one_sequence(530, 2, 128, 1, AttentionMask::window_of(270)), 1, 510);
}

TEMPLATE_TEST_CASE("no bit depends on the threads, however few heads there are", "[large]", float, bf16) {
  using Problem = AttentionProblem<TestType>;
  struct Case {
    AttentionShape shape;
    std::vector<std::pair<Index, Index>> lengths;
  };
  for (const NamedMask& m : kMasks) {
    for (const Case& c : {Case{{.batch = 3, .time = 45, .heads = 2, .head_size = 24}, {}},
                          Case{{.batch = 1, .time = 260, .heads = 1, .head_size = 16}, {}},
                          Case{{.batch = 1, .time = 70, .heads = 4, .head_size = 20, .kv_heads = 1}, {}},
                          Case{{.batch = 0, .time = 0, .heads = 4, .head_size = 16, .kv_heads = 2},
                               {{130, 130}, {2, 0}, {0, 70}, {3, 140}, {64, 64}, {1, 1}, {129, 129}}}}) {
      Batch batch = {c.shape, {}};
      if (!c.lengths.empty()) batch = packed(c.lengths, c.shape);
      batch.shape.mask = m.mask;
      Problem one(batch);
      one.forward();
      one.backward();
      CAPTURE(m.name, c.shape.time, c.shape.heads);
      Problem many(batch);
      many.forward(5);
      many.backward(5);
      REQUIRE(many.intact());
      REQUIRE(compare_same(many.out, one.out));
      REQUIRE(compare_same(many.lse, one.lse));
      REQUIRE(compare_same(many.d_q, one.d_q));
      REQUIRE(compare_same(many.d_kv, one.d_kv));
    }
  }
}

// Where no row sees the first keys, a block of keys begins the sums of its rows that follows no other: they lie where those of
// an earlier group did, which must be done. Only the thread sanitizer is sure to see it where it is not.
TEMPLATE_TEST_CASE("groups of which the first keys are not seen do not write into earlier ones", "", float,
                   bf16) {
  const AttentionShape shape = {
      .batch = 2, .time = 300, .heads = 3, .head_size = 8, .mask = AttentionMask::window_of(1)};
  AttentionProblem<TestType> one(shape), many(shape);
  one.forward();
  one.backward();
  for (int repetition = 0; repetition < 3; ++repetition) {
    CAPTURE(repetition);
    many.forward(4);
    many.backward(4);
    REQUIRE(compare_same(many.d_q, one.d_q));
    REQUIRE(compare_same(many.d_kv, one.d_kv));
  }
}

// Blocks of keys that take long enough for threads to overtake each other, if nothing held them back.
TEMPLATE_TEST_CASE("threads that share one head follow each other", "[large]", float, bf16) {
  using Problem = AttentionProblem<TestType>;
  for (const AttentionMask mask : {AttentionMask::causal(), AttentionMask::window_of(300)}) {
    Problem one(one_sequence(1200, 1, 32, 1, mask)), many(one_sequence(1200, 1, 32, 1, mask));
    one.forward();
    one.backward();
    for (int repetition = 0; repetition < 2; ++repetition) {
      CAPTURE(mask.window, mask.prefix, repetition);
      many.forward(4);
      many.backward(4);
      REQUIRE(compare_same(many.out, one.out));
      REQUIRE(compare_same(many.d_q, one.d_q));
      REQUIRE(compare_same(many.d_kv, one.d_kv));
    }
  }
}

TEMPLATE_TEST_CASE("a sequence has the same bits alone and in a batch", "[large]", float, bf16) {
  using Problem = AttentionProblem<TestType>;
  const std::vector<std::pair<Index, Index>> lengths = {{75, 75}, {1, 1}, {3, 130}, {300, 300}, {64, 64}};
  for (const NamedMask& m : kMasks) {
    const AttentionShape shape = {.heads = 4, .head_size = 24, .kv_heads = 2, .mask = m.mask};
    Problem all(packed(lengths, shape, 1));
    all.forward();
    all.backward();
    for (Index b = 0; b < Index(lengths.size()); ++b) {
      CAPTURE(m.name, b);
      Problem alone(packed({lengths[b]}, shape));
      const AttentionSequence at = all.batch.sequence(b);
      for (Index i = 0; i < at.queries; ++i) {
        for (Index j = 0; j < alone.q_width; ++j) {
          alone.q(i, j) = all.q(at.query + i, j);
          alone.d_out(i, j) = all.d_out(at.query + i, j);
        }
      }
      for (Index s = 0; s < at.keys; ++s)
        for (Index j = 0; j < alone.kv.cols(); ++j) alone.kv(s, j) = all.kv(at.key + s, j);
      alone.forward();
      alone.backward();
      REQUIRE(compare_equal(alone.query_rows(alone.out, 0), all.query_rows(all.out, b)));
      REQUIRE(compare_equal(alone.all_of(alone.d_q, alone.d_kv, 0), all.all_of(all.d_q, all.d_kv, b)));
    }
  }
}
