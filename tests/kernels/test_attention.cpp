// Attention of one ISA against plain loops in float64, and what its header promises of single rows: masks, groups, packed
// sequences, nothing from keys that a query does not see.
#include "kernels/attention.hpp"

#include "base/check.hpp"
#include "kernels/attention_problem.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

namespace {

using Problem = AttentionProblem<float>;

AttentionShape self_attention(Index batch, Index time, Index heads, Index size, AttentionMask mask = {},
                              Index kv_heads = 0) {
  return {
      .batch = batch, .time = time, .heads = heads, .head_size = size, .kv_heads = kv_heads, .mask = mask};
}

// Scores are zero, so that every weight is 1 / n.
void check_mean(AttentionMask mask, Index kv_heads) {
  Problem p(self_attention(1, 128, 4, 16, mask, kv_heads));
  fill_integer(p.kv, 3);
  p.q.fill([](Index, Index) { return 0.0; });
  p.forward();
  const AttentionCase c = p.reference_case(0);
  Index exact = 0;
  for (Index t = 0; t < 128; ++t) {
    for (Index j = 0; j < p.q_width; ++j) {
      double sum = 0, keys = 0;
      for (Index s = 0; s < 128; ++s) {
        if (!c.sees(t, s)) continue;
        sum += p.kv(s, p.kv_width + j / 16 * kv_heads / 4 * 16 + j % 16);
        ++keys;
      }
      if (std::exp2(std::round(std::log2(keys))) != keys) continue;
      REQUIRE(p.out(t, j) == sum / keys);
      ++exact;
    }
  }
  REQUIRE(exact > 0);
}

}  // namespace

TEST_CASE("forward is within its bound for odd and even shapes") {
  for (const Index time : {2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 129, 257, 300}) {
    for (const Index size : {8, 16, 20, 33}) {
      CAPTURE(time, size);
      Problem p(self_attention(1, time, 2, size));
      check_forward(p);
    }
  }
  for (const auto& [shape, scale] : {std::pair{self_attention(3, 40, 3, 64), 1.0},
                                     {self_attention(1, 600, 1, 128), 1.0},
                                     {self_attention(1, 70, 1, 256), 1.0},
                                     {self_attention(2, 40, 2, 16), 4.0}}) {
    CAPTURE(shape.batch, shape.time, shape.head_size, scale);
    Problem p(shape, scale);
    check_forward(p);
  }
}

TEST_CASE("every mask is within the bound, with every grouping of heads", "[large]") {
  for (const NamedMask& m : kMasks) {
    for (const Index kv_heads : {1, 2, 6}) {
      for (const Index time : {1, 4, 65, 150, 270}) {
        CAPTURE(m.name, kv_heads, time);
        Problem p(self_attention(time < 100 ? 2 : 1, time, 6, time == 150 ? 40 : 16, m.mask, kv_heads));
        check_forward(p);
      }
    }
  }
}

TEST_CASE("sequences of any lengths, packed one after the other") {
  const std::vector<std::pair<Index, Index>> lengths = {{5, 5},   {0, 3}, {70, 70}, {1, 1},
                                                        {3, 130}, {2, 0}, {40, 9}};
  for (const NamedMask& m : kMasks) {
    for (const Index gap : {0, 2}) {
      CAPTURE(m.name, gap);
      Problem p(packed(lengths, self_attention(0, 0, 4, 24, m.mask, 2), gap));
      check_forward(p);
      // Queries without a key, and rows that belong to nobody.
      const AttentionSequence blind = p.batch.sequence(5);
      for (Index j = 0; j < p.q_width; ++j) {
        REQUIRE(p.out(blind.query, j) == 0.0f);
        if (gap > 0) REQUIRE(std::isnan(p.out(5, j)));
      }
      REQUIRE(p.lse_at(5, 3, 1) == -HUGE_VAL);
    }
  }
}

TEST_CASE("16,384 keys: new queries against all of them, and a window over all positions", "[large]") {
  for (const Index size : {16, 64}) {
    CAPTURE(size);
    Problem p(packed({{9, 16384}}, self_attention(0, 0, 2, size, {}, 1)));
    // The mean of so many normal values is as small as the bound: theirs is 4.
    for (Index s = 0; s < p.kv_rows; ++s)
      for (Index j = 0; j < size; ++j) p.kv(s, size + j) += 4.0f;
    check_forward(p);
  }
  Problem p(self_attention(1, 16384, 1, 16, AttentionMask::window_of(33)));
  p.forward();
  // The reference looks at every pair; around a few queries it is given what they see.
  for (const Index t : {0, 32, 33, 255, 256, 9000, 16383}) {
    CAPTURE(t);
    const Index first = std::max<Index>(t - 32, 0), keys = t + 1 - first;
    Problem few(packed({{1, keys}}, self_attention(0, 0, 1, 16, AttentionMask::full())));
    for (Index j = 0; j < 16; ++j) {
      few.q(0, j) = p.q(t, j);
      for (Index s = 0; s < keys; ++s)
        for (const Index c : {Index{0}, Index{16}}) few.kv(s, c + j) = p.kv(first + s, c + j);
    }
    check_forward(few);
    const double bound = 4 * AttentionTruth(few, 0).weight_error(0, 0) * largest(few.key_rows(few.kv, 0, 1));
    REQUIRE(compare(16, [&](Index j) { return Element{p.out(t, j), few.out(0, j), bound}; }));
  }
}

TEST_CASE("equal scores give the mean of the keys seen, exactly where the mean is exact") {
  for (const NamedMask& m : kMasks) {
    for (const Index kv_heads : {1, 2, 4}) {
      CAPTURE(m.name, kv_heads);
      check_mean(m.mask, kv_heads);
    }
  }
}

TEST_CASE("empty dimensions") {
  for (const AttentionShape& shape :
       {self_attention(0, 4, 2, 8), self_attention(2, 0, 2, 8), self_attention(2, 4, 0, 8),
        self_attention(2, 4, 2, 0), self_attention(2, 4, 0, 8, {}, 2)}) {
    Problem p(shape);
    p.forward();
    p.backward();
    REQUIRE(p.intact());
  }
}

TEST_CASE("shapes that do not fit are refused") {
  const auto refuses = [](const Batch& batch) {
    Problem p(self_attention(1, 4, 2, 8));
    p.batch = batch;
    REQUIRE_THROWS_AS(p.forward(), ContractError);
    REQUIRE_THROWS_AS(p.backward(), ContractError);
  };
  refuses({self_attention(1, 5, 2, 8), {}});
  refuses({self_attention(1, 4, 2, 7), {}});
  refuses({self_attention(1, 4, 2, 8, {}, 1), {}});
  refuses({self_attention(1, 4, 2, 8, {0, 0}), {}});
  refuses({self_attention(1, 4, 2, 8, {1, -1}), {}});
  refuses({self_attention(1, 4, 2, 8), {{0, 5, 0, 4}}});
  refuses({self_attention(1, 4, 2, 8), {{0, 4, 1, 4}}});
  refuses({self_attention(2, 4, 2, 8), {{0, 3, 0, 2}, {2, 2, 2, 2}}});
  Problem p(self_attention(1, 4, 3, 8));
  p.batch.shape.kv_heads = 2;
  REQUIRE_THROWS_WITH(p.forward(), Catch::Matchers::Contains("3 heads share 2"));

  // Two sequences may read the same keys, but their gradients cannot both be written.
  Problem shared(self_attention(1, 4, 2, 8));
  shared.batch = {self_attention(2, 4, 2, 8), {{0, 2, 0, 4}, {2, 2, 0, 4}}};
  shared.forward();
  REQUIRE_THROWS_WITH(shared.backward(), Catch::Matchers::Contains("keys of sequence 1 begin at row 0"));

  Problem small(self_attention(1, 4, 2, 8));
  Scratch scratch(64);
  ExecContext ctx{test_table(), 1, scratch};
  const auto forward = [&] {
    attention_forward(ctx, small.out.ref(), small.lse.data(), small.q.ref(), small.kv.ref().columns(0, 16),
                      small.kv.ref().columns(16, 16), small.shape());
  };
  REQUIRE_THROWS_AS(forward(), ContractError);
  ctx.threads = 0;
  REQUIRE_THROWS_AS(forward(), ContractError);
}

TEST_CASE("scratch grows no faster than the longest sequence") {
  const auto bytes = [](Index time) {
    return attention_scratch_bytes(test_table(), 2, self_attention(4, time, 8, 64));
  };
  REQUIRE(bytes(16384) < 4 * bytes(4096));
  REQUIRE(bytes(16384) <= 2 * 16384 * (64 + 64) * sizeof(float));
}

TEST_CASE("sequences that would end beyond the largest index are refused") {
  constexpr Index kMost = std::numeric_limits<Index>::max();
  for (const AttentionSequence& rows : {AttentionSequence{1, kMost, 0, 4},
                                        {0, 4, 1, kMost},
                                        {4, kMost - 2, 0, 4},
                                        {0, 4, kMost, kMost},
                                        {kMost, kMost, 0, 4}}) {
    CAPTURE(rows.query, rows.queries, rows.key, rows.keys);
    Problem p(self_attention(1, 4, 2, 8));
    AttentionShape shape = p.shape();
    shape.sequences = &rows;
    Scratch scratch(1 << 20);
    ExecContext ctx{test_table(), 1, scratch};
    const MatrixRef k = p.kv.ref().columns(0, 16), v = p.kv.ref().columns(16, 16);
    const MatrixRef d_k = p.d_kv.ref().columns(0, 16), d_v = p.d_kv.ref().columns(16, 16);
    REQUIRE_THROWS_WITH(attention_forward(ctx, p.out.ref(), p.lse.data(), p.q.ref(), k, v, shape),
                        Catch::Matchers::Contains("sequence 0 has"));
    REQUIRE_THROWS_WITH(attention_backward(ctx, p.d_q.ref(), d_k, d_v, p.d_out.ref(), p.q.ref(), k, v,
                                           p.out.ref(), p.lse.data(), shape),
                        Catch::Matchers::Contains("sequence 0 has"));
  }
}

TEST_CASE("overlapping rows of what is written are refused") {
  Problem p(self_attention(1, 4, 2, 8));
  Scratch scratch(1 << 20);
  ExecContext ctx{test_table(), 1, scratch};
  const MatrixRef k = p.kv.ref().columns(0, 16), v = p.kv.ref().columns(16, 16);
  MatrixRef out = p.out.ref(), d_q = p.d_q.ref(), d_k = p.d_kv.ref().columns(0, 16),
            d_v = p.d_kv.ref().columns(16, 16);
  const auto both = [&] {
    attention_forward(ctx, out, p.lse.data(), p.q.ref(), k, v, p.shape());
    attention_backward(ctx, d_q, d_k, d_v, p.d_out.ref(), p.q.ref(), k, v, p.out.ref(), p.lse.data(),
                       p.shape());
  };
  REQUIRE_NOTHROW(both());
  for (const auto& [name, x] : {std::pair{"out", &out}, {"d_q", &d_q}, {"d_k", &d_k}, {"d_v", &d_v}}) {
    const Index stride = std::exchange(x->row_stride, 15);
    REQUIRE_THROWS_WITH(both(), Catch::Matchers::Contains(name + std::string(" is 4x16 with row stride 15")));
    x->row_stride = stride;
  }
}
