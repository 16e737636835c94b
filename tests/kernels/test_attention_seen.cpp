// What a row does not see changes no bit of it, not even a NaN; nor does sharing its keys with other heads.
#include <bit>

#include "kernels/attention_problem.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

namespace {

AttentionShape self_attention(Index batch, Index time, Index heads, Index size, AttentionMask mask = {},
                              Index kv_heads = 0) {
  return {
      .batch = batch, .time = time, .heads = heads, .head_size = size, .kv_heads = kv_heads, .mask = mask};
}

// NaNs with low bits, which arithmetic on their bits could turn into numbers.
void set_nan(float& x) {
  x = std::bit_cast<float>(0x7fc0cafeu);
}
void set_nan(bf16& x) {
  x = {0x7fc1};
}

}  // namespace

TEMPLATE_TEST_CASE("a NaN reaches the queries that see its key and no others", "[large]", float, bf16) {
  using Problem = AttentionProblem<TestType>;
  for (const NamedMask& m : kMasks) {
    const AttentionShape shape = self_attention(2, 90, 4, 16, m.mask, 2);
    Problem clean(shape);
    clean.forward();
    for (const Index key : {0, 1, 5, 16, 33, 64, 67, 89}) {
      CAPTURE(m.name, key);
      Problem dirty(shape);
      for (Index j = 0; j < dirty.kv.cols(); ++j) set_nan(dirty.kv(90 + key, j));
      dirty.forward();
      const AttentionCase c = dirty.reference_case(1);
      for (Index t = 0; t < 180; ++t) {
        const bool seen = t >= 90 && c.sees(t - 90, key);
        for (Index j = 0; j < clean.q_width; ++j) {
          if (seen) {
            REQUIRE(std::isnan(to_double(dirty.out(t, j))));
          } else {
            REQUIRE(to_double(dirty.out(t, j)) == to_double(clean.out(t, j)));
          }
        }
      }
    }
  }
}

TEMPLATE_TEST_CASE("a group of heads gives the bits of heads with keys and values of their own", "", float,
                   bf16) {
  using Problem = AttentionProblem<TestType>;
  for (const Index kv_heads : {1, 3}) {
    CAPTURE(kv_heads);
    Problem group(self_attention(2, 75, 6, 24, {}, kv_heads)), alone(self_attention(2, 75, 6, 24));
    alone.kv.fill([&](Index i, Index j) {
      const Index which = j / alone.kv_width, head = j % alone.kv_width / 24;
      return to_double(group.kv(i, which * group.kv_width + head * kv_heads / 6 * 24 + j % 24));
    });
    group.forward();
    alone.forward();
    REQUIRE(compare_same(group.out, alone.out));
    REQUIRE(compare_same(group.lse, alone.lse));
  }
}

// A NaN in k and v of one key, in the queries that see it, and in the keys that these see: nowhere else.
TEMPLATE_TEST_CASE("gradients take nothing from keys and queries that do not see each other, not even NaN",
                   "[large]", float, bf16) {
  using Problem = AttentionProblem<TestType>;
  for (const NamedMask& m : kMasks) {
    const AttentionShape shape = self_attention(1, 90, 2, 16, m.mask, 1);
    Problem clean(shape);
    clean.forward();
    clean.backward();
    for (const Index key : {0, 20, 63, 64, 89}) {
      CAPTURE(m.name, key);
      Problem dirty(shape);
      for (Index j = 0; j < dirty.kv.cols(); ++j) set_nan(dirty.kv(key, j));
      dirty.forward();
      dirty.backward();
      const AttentionCase c = dirty.reference_case(0);
      for (Index i = 0; i < 90; ++i) {
        bool reached = false;  // key i, by a query that sees `key` too
        for (Index t = 0; t < 90; ++t) reached |= c.sees(t, i) && c.sees(t, key);
        for (Index j = 0; j < 16; ++j) {
          if (!reached) {
            REQUIRE(to_double(dirty.d_kv(i, j)) == to_double(clean.d_kv(i, j)));
            REQUIRE(to_double(dirty.d_kv(i, 16 + j)) == to_double(clean.d_kv(i, 16 + j)));
          }
          if (c.sees(i, key)) continue;
          for (const Index head : {0, 16})
            REQUIRE(to_double(dirty.d_q(i, head + j)) == to_double(clean.d_q(i, head + j)));
        }
      }
    }
  }
}

// The same in the query and the gradient of one row: nothing but it, and the keys that it sees.
TEMPLATE_TEST_CASE("a NaN in one query stays in its row and in the keys that it sees", "", float, bf16) {
  using Problem = AttentionProblem<TestType>;
  for (const NamedMask& m : kMasks) {
    const AttentionShape shape = self_attention(1, 90, 2, 16, m.mask, 1);
    Problem clean(shape);
    clean.forward();
    clean.backward();
    for (const Index query : {0, 20, 63, 89}) {
      CAPTURE(m.name, query);
      Problem dirty(shape);
      for (Index j = 0; j < dirty.q_width; ++j) {
        set_nan(dirty.q(query, j));
        set_nan(dirty.d_out(query, j));
      }
      dirty.forward();
      dirty.backward();
      const AttentionCase c = dirty.reference_case(0);
      for (Index i = 0; i < 90; ++i) {
        for (Index j = 0; j < 2 * 16; ++j) {
          if (i != query) {
            REQUIRE(to_double(dirty.out(i, j)) == to_double(clean.out(i, j)));
            REQUIRE(to_double(dirty.d_q(i, j)) == to_double(clean.d_q(i, j)));
          }
          if (!c.sees(query, i)) REQUIRE(to_double(dirty.d_kv(i, j)) == to_double(clean.d_kv(i, j)));
        }
      }
    }
  }
}
