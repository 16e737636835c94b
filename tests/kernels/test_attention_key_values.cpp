// Attention of one ISA to keys and values in int8, against plain loops on the numbers that these stand for.
#include <bit>

#include "base/check.hpp"
#include "kernels/stored_attention_problem.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

namespace {

AttentionShape self_attention(Index batch, Index time, Index heads, Index size, AttentionMask mask = {},
                              Index kv_heads = 0) {
  return {
      .batch = batch, .time = time, .heads = heads, .head_size = size, .kv_heads = kv_heads, .mask = mask};
}

}  // namespace

TEMPLATE_TEST_CASE("int8 keys and values are within the bound", "", float, bf16) {
  for (const Index time : {1, 2, 7, 17, 65, 300}) {
    for (const Index size : {8, 16, 20, 33, 64}) {
      CAPTURE(time, size);
      StoredProblem<TestType> p(self_attention(1, time, 2, size));
      check_forward(p);
    }
  }
  StoredProblem<TestType> wide(self_attention(1, 70, 1, 256)), several(self_attention(3, 40, 3, 128), 4.0);
  check_forward(wide);
  check_forward(several);
}

TEST_CASE("every mask is within the bound in int8, with every grouping of heads", "[large]") {
  for (const NamedMask& m : kMasks) {
    for (const Index kv_heads : {1, 2, 6}) {
      for (const Index time : {1, 65, 270}) {
        CAPTURE(m.name, kv_heads, time);
        StoredProblem<float> p(self_attention(time < 100 ? 2 : 1, time, 6, 24, m.mask, kv_heads));
        check_forward(p);
      }
    }
  }
}

// One new token of each: nothing is packed where few heads share its keys.
TEST_CASE("new tokens behind long caches are within the bound", "[large]") {
  for (const NamedMask& m : kMasks) {
    for (const Index kv_heads : {1, 2, 8}) {
      for (const Index size : {5, 16, 40, 64, 128}) {
        CAPTURE(m.name, kv_heads, size);
        const Batch batch = packed({{1, 1}, {1, 300}, {0, 3}, {1, 256}, {2, 700}, {1, 0}},
                                   self_attention(0, 0, 8, size, m.mask, kv_heads), 2);
        StoredProblem<float> stored(batch);
        check_forward(stored);
        AttentionProblem<float> plain(batch);
        check_forward(plain);
      }
    }
  }
}

TEST_CASE("one of keys and values may be int8 alone") {
  StoredProblem<float> p(self_attention(1, 90, 4, 20, {}, 2));
  const auto run = [&](const ConstKeyValueMatrix& k, const ConstKeyValueMatrix& v) {
    Scratch scratch(attention_scratch_bytes(test_table(), 1, p.shape()));
    ExecContext ctx{test_table(), 1, scratch};
    attention_forward(ctx, p.out.ref(), p.lse.data(), p.q.ref(), k, v, p.shape());
    return p.out.values();
  };
  // In steps of 1 the numbers of int8 are those of float32, so that the bits are the same.
  p.kv.fill([](Index i, Index j) { return j % 20 == 0 ? 127.0 : double((i * 31 + j * 7) % 255 - 127); });
  p.store();
  const MatrixRef k = p.kv.ref().columns(0, 40), v = p.kv.ref().columns(40, 40);
  p.q.fill([](Index i, Index j) { return 0x1p-12 * double((i * 13 + j * 5) % 9 - 4); });
  const auto expected = run(k, v);
  REQUIRE(run(p.keys.matrix(), v) == expected);
  REQUIRE(run(k, p.values.matrix()) == expected);
  REQUIRE(run(p.keys.matrix(), p.values.matrix()) == expected);
}

// Keys move by at most half a step and scores so by e = |q|_1 max s / 2 / sqrt(D); weights then by a factor within exp(+-2e), and
// values by half of their own step.
TEST_CASE("int8 differs from float32 by what rounding keys and values may do") {
  for (const Index queries : {1, 60}) {
    CAPTURE(queries);
    const Batch batch = packed({{queries, 120}}, self_attention(0, 0, 4, 32, {}, 2));
    StoredProblem<float> stored(batch, 0.5);
    AttentionProblem<float> plain(batch, 0.5);
    for (Index s = 0; s < 120;
         ++s)  // the mean of so many normal values is as small as the bound: theirs is 4
      for (Index j = 64; j < 128; ++j) stored.kv(s, j) = plain.kv(s, j) += 4.0f;
    stored.forward();
    plain.forward();
    REQUIRE_FALSE(compare_same(stored.out, plain.out));
    const AttentionTruth truth(plain, 0);
    double key_step = 0, value_step = 0;
    for (Index s = 0; s < 120; ++s) {
      for (const Index h : {0, 1}) {
        key_step = std::max(key_step, double(stored.keys.scale(s, h)));
        value_step = std::max(value_step, double(stored.values.scale(s, h)));
      }
    }
    constexpr double kHalf = 0.5 + 0x1p-15;
    const double most = largest(truth.v) + value_step;
    REQUIRE(compare(queries * 4 * 32, [&](Index e) {
      const Index t = e / (4 * 32), h = e / 32 % 4;
      double q = 0;
      for (Index d = 0; d < 32; ++d) q += std::abs(double(stored.q(t, h * 32 + d)));
      const double score = q * key_step * kHalf / std::sqrt(32.0);
      const double moved = std::expm1(2 * score) * most + value_step * kHalf;
      // E of either, A of the one at most `score` above that of the other.
      const double a = truth.largest_score(t, h).first + score;
      const double error = truth.weight_error(t, h) + (32 + 17 + 1) * (score + a) * kUnitRoundoff;
      const double rounded = (2 * truth.weight_error(t, h) + 2 * error + kUnitRoundoff) * most;
      return Element{double(stored.out(t, e % (4 * 32))), double(plain.out(t, e % (4 * 32))),
                     moved + rounded};
    }));
  }
}

TEST_CASE(
    "keys of zeros give the mean of the values, exactly where the mean is exact, and zeros give zeros") {
  StoredProblem<float> p(self_attention(1, 128, 2, 16));
  // Steps of 1: each head of values has its 127.
  const auto value = [](Index i, Index j) { return j % 16 == 0 ? 127 : (i * 5 + j * 11) % 255 - 127; };
  p.kv.fill([&](Index i, Index j) { return j < 32 ? 0 : value(i, j); });
  p.forward();
  for (const Index keys : {1, 2, 4, 64, 128}) {
    for (Index j = 0; j < 32; ++j) {
      double sum = 0;
      for (Index s = 0; s < keys; ++s) sum += double(value(s, 32 + j));
      REQUIRE(p.out(keys - 1, j) == sum / double(keys));
    }
  }
  p.kv.fill([](Index, Index) { return 0.0; });
  p.forward();
  for (Index t = 0; t < 128; ++t)
    for (Index j = 0; j < 32; ++j) REQUIRE(p.out(t, j) == 0.0f);
}

TEST_CASE("a number that is not finite reaches who sees its token and reads its head, and no others",
          "[large]") {
  for (const NamedMask& m : kMasks) {
    const AttentionShape shape = self_attention(2, 90, 4, 16, m.mask, 2);
    StoredProblem<float> clean(shape);
    clean.forward();
    for (const bool in_values : {false, true}) {
      for (const Index key : {0, 16, 64, 89}) {
        CAPTURE(m.name, in_values, key);
        StoredProblem<float> dirty(shape);
        // One element of the second head: float32 would lose no more than a column of values.
        dirty.kv(90 + key, (in_values ? 32 : 0) + 16 + 5) = std::numeric_limits<float>::infinity();
        dirty.forward();
        const AttentionCase c = dirty.reference_case(1);
        for (Index t = 0; t < 180; ++t) {
          const bool seen = t >= 90 && c.sees(t - 90, key);
          for (Index j = 0; j < 64; ++j) {
            if (seen && j / 16 >= 2)
              REQUIRE(std::isnan(dirty.out(t, j)));
            else
              REQUIRE(dirty.out(t, j) == clean.out(t, j));
          }
        }
      }
    }
  }
}

TEST_CASE("int8 matrices of the wrong shape are refused") {
  StoredProblem<float> p(self_attention(1, 4, 2, 8));
  p.store();
  Scratch scratch(attention_scratch_bytes(test_table(), 1, p.shape()));
  ExecContext ctx{test_table(), 1, scratch};
  const auto forward = [&](const KeyValueMatrix& k, const KeyValueMatrix& v) {
    attention_forward(ctx, p.out.ref(), p.lse.data(), p.q.ref(), k, v, p.shape());
  };
  const KeyValueMatrix k = p.keys.matrix(), v = p.values.matrix();
  REQUIRE_NOTHROW(forward(k, v));
  REQUIRE_THROWS_AS(forward(k.rows_from(0, 3), v), ContractError);
  REQUIRE_THROWS_AS(forward(k, v.rows_from(1, 3)), ContractError);
  KeyValueMatrix narrow = k;
  narrow.cols = 8;
  REQUIRE_THROWS_AS(forward(narrow, v), ContractError);
}

// A new token alone: its keys are read in whole vectors, and some of these it does not see.
TEMPLATE_TEST_CASE("a new token takes nothing from keys that it does not see, not even NaN", "",
                   AttentionProblem<float>, AttentionProblem<bf16>, StoredProblem<float>) {
  for (const Index window : {1, 5, 31, 100, 270}) {
    for (const Index kv_heads : {1, 4}) {
      CAPTURE(window, kv_heads);
      const Batch batch =
          packed({{1, 300}}, self_attention(0, 0, 4, 20, AttentionMask::window_of(window), kv_heads), 0);
      TestType clean(batch), dirty(batch);
      for (Index s = 0; s < 300 - window; ++s)
        for (Index j = 0; j < 2 * dirty.kv_width; ++j)
          dirty.kv(s, j) = from_double<std::decay_t<decltype(dirty.kv(0, 0))>>(std::nan(""));
      clean.forward();
      dirty.forward();
      REQUIRE(compare_same(dirty.out, clean.out));
      REQUIRE(compare_same(dirty.lse, clean.lse));
      REQUIRE(std::isfinite(to_double(dirty.out(0, 0))));
    }
  }
}
