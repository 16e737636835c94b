// Gradients of attention of one ISA against the reference's, and those against complex steps.
#include "base/check.hpp"
#include "kernels/attention_gradients.hpp"

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

}  // namespace

TEST_CASE("the reference's gradients are complex steps through its forward") {
  for (const NamedMask& m : kMasks) {
    for (const auto& [queries, keys, size] :
         {std::array<Index, 3>{1, 1, 4}, {12, 12, 8}, {7, 11, 5}, {9, 9, 40}, {3, 8, 4}}) {
      CAPTURE(m.name, queries, keys, size);
      Problem p(packed({{queries, keys}},
                       self_attention(0, 0, size == 4 ? 4 : 1, size, m.mask, size == 4 ? 2 : 1)));
      const auto expected = gradient(loss_of(p, 0), p.all_of(p.q, p.kv, 0));
      const auto actual = reference_gradient(p, 0), bound = gradient_bound(p, 0);
      // The bound counts one rounding of float32 per operation. Here they are of float64, one per operation of the
      // reference and at most four per complex one (a quotient).
      REQUIRE(compare(Index(actual.size()), [&](Index i) {
        return Element{actual[i], expected[i], 5 * 0x1p-53 / kUnitRoundoff * bound[i]};
      }));
    }
  }
}

TEST_CASE("gradients are within their bound of the reference's, element by element") {
  struct Case {
    Index time, size;
    double scale;
  };
  // 32 columns are one panel on avx512: from D = 40 on every product has a second. T = 70, 150: a second block of keys.
  for (const Case c : {Case{1, 4, 1}, Case{5, 3, 1}, Case{12, 8, 1}, Case{19, 8, 2}, Case{9, 16, 1},
                       Case{150, 16, 1}, Case{70, 40, 1}, Case{70, 40, 2}, Case{35, 64, 1}, Case{70, 64, 2},
                       Case{70, 128, 1}, Case{33, 256, 1}}) {
    CAPTURE(c.time, c.size, c.scale);
    Problem p(self_attention(1, c.time, 1, c.size), c.scale);
    check_gradients(p);
    // Along the gradient itself nothing cancels: the slope of the loss is its squared length.
    const auto actual = p.all_of(p.d_q, p.d_kv, 0), bound = gradient_bound(p, 0);
    double squares = 0, squares_bound = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
      squares += actual[i] * actual[i];
      squares_bound += bound[i] * std::abs(actual[i]);
    }
    const double slope = directional_derivative(loss_of(p, 0), p.all_of(p.q, p.kv, 0), actual);
    REQUIRE(compare(1, [&](Index) { return Element{squares, slope, squares_bound}; }));
  }
}

TEST_CASE("every mask and grouping of heads has gradients within their bound", "[large]") {
  for (const NamedMask& m : kMasks) {
    for (const Index kv_heads : {1, 2, 4}) {
      for (const Index time : {2, 13, 145}) {
        CAPTURE(m.name, kv_heads, time);
        Problem p(self_attention(2, time, 4, time == 13 ? 20 : 16, m.mask, kv_heads));
        check_gradients(p);
      }
    }
  }
}

TEST_CASE("gradients of packed sequences stay within them", "[large]") {
  for (const NamedMask& m : kMasks) {
    for (const Index gap : {0, 2}) {
      CAPTURE(m.name, gap);
      Problem p(packed({{5, 5}, {0, 3}, {70, 70}, {3, 130}, {2, 0}, {40, 9}, {1, 1}},
                       self_attention(0, 0, 4, 24, m.mask, 2), gap));
      check_gradients(p);
      if (gap == 0) continue;
      for (Index j = 0; j < p.kv_width; ++j) REQUIRE(std::isnan(p.d_kv(6, j)));
      for (Index j = 0; j < p.q_width; ++j) REQUIRE(std::isnan(p.d_q(6, j)));
    }
  }
}

TEST_CASE("16,384 keys have gradients within their bound", "[large]") {
  Problem p(packed({{5, 16384}}, self_attention(0, 0, 2, 16, {}, 1)));
  for (Index s = 0; s < p.kv_rows; ++s)
    for (Index j = 0; j < 16; ++j)
      p.kv(s, j) *= 0.125f;  // weights of one size: at 1 the bound exceeds the smallest
  check_gradients(p);
}

// Queries that point at one key each: the other scores lie so far below that their weights are 0, the one weight is
// 1, and nothing is left to round, however large the numbers are.
TEST_CASE("inputs scaled by up to 512: where one key has all the weight, all gradients are exact") {
  struct Case {
    Index time, size, kv_heads;
    AttentionMask mask;
  };
  for (const double scale : {32.0, 512.0}) {
    for (const Case& c : {Case{70, 40, 2, {}}, Case{300, 64, 1, {}}, Case{90, 64, 1, AttentionMask::full()},
                          Case{150, 40, 2, AttentionMask::window_of(20)}}) {
      CAPTURE(scale, c.time, c.size, c.kv_heads);
      Problem p(self_attention(1, c.time, 2, c.size, c.mask, c.kv_heads));
      const Rng rng(5, 5);
      fill_integer(p.kv, 3);
      fill_integer(p.d_out, 4);
      const Index k_width = p.kv_width;
      p.kv.fill([&](Index s, Index j) {
        if (j >= k_width) return scale * p.kv(s, j);
        return rng.below(1000 + s * k_width + j, 2) == 0 ? -scale : scale;
      });
      p.d_out.fill([&](Index t, Index j) { return scale * p.d_out(t, j); });
      std::vector<double> out, d_q(c.time * 2 * c.size), d_kv(c.time * 2 * k_width);
      for (Index t = 0; t < c.time; ++t) {
        for (Index h = 0; h < 2; ++h) {
          const Interval seen = c.mask.keys_of(t, c.time, c.time);
          const Index chosen = seen.first + Index(rng.below(t * 2 + h, seen.last - seen.first));
          const Index col = h * c.kv_heads / 2 * c.size;
          for (Index d = 0; d < c.size; ++d) {
            p.q(t, h * c.size + d) = p.kv(chosen, col + d);
            out.push_back(p.kv(chosen, k_width + col + d));
            d_kv[chosen * 2 * k_width + k_width + col + d] += p.d_out(t, h * c.size + d);
          }
        }
      }
      p.forward();
      p.backward();
      REQUIRE(compare_equal(p.out.values(), out));
      REQUIRE(compare_equal(p.d_q.values(), d_q));
      REQUIRE(compare_equal(p.d_kv.values(), d_kv));
    }
  }
}

// Scores depend on the product of q and k alone, and powers of two do not round: every bit is known from that of
// the unscaled problem.
TEST_CASE("operands scaled by powers of two scale the gradients, bit for bit") {
  struct Factors {
    double q, k, v, d_out;
  };
  for (const Index size : {40, 64}) {
    Problem plain(self_attention(1, 70, 2, size, {}, 1));
    plain.forward();
    plain.backward();
    for (const Factors f : {Factors{512, 1.0 / 512, 1, 1}, Factors{1.0 / 512, 512, 1, 1},
                            Factors{1, 1, 512, 1}, Factors{1, 1, 1, 512}, Factors{32, 1.0 / 32, 512, 512}}) {
      CAPTURE(size, f.q, f.k, f.v, f.d_out);
      Problem p(self_attention(1, 70, 2, size, {}, 1));
      p.q.fill([&](Index i, Index j) { return plain.q(i, j) * f.q; });
      p.kv.fill([&](Index i, Index j) { return plain.kv(i, j) * (j < size ? f.k : f.v); });
      p.d_out.fill([&](Index i, Index j) { return plain.d_out(i, j) * f.d_out; });
      p.forward();
      p.backward();
      const double gradients[] = {f.v * f.d_out / f.q, f.v * f.d_out / f.k, f.d_out};
      REQUIRE(compare(70 * 2 * size, [&](Index e) {
        const Index i = e / (2 * size), j = e % (2 * size);
        return Element{p.d_q(i, j), plain.d_q(i, j) * gradients[0]};
      }));
      REQUIRE(compare(70 * 2 * size, [&](Index e) {
        const Index i = e / (2 * size), j = e % (2 * size);
        return Element{p.d_kv(i, j), plain.d_kv(i, j) * gradients[1 + j / size]};
      }));
    }
  }
}

TEST_CASE("gradients of keys and values that no query head reads are zero") {
  const auto check = [](auto p) {
    p.d_kv.fill([](Index, Index) { return std::nan(""); });
    p.backward();
    REQUIRE(p.intact());
    for (Index r = 0; r < p.kv_rows; ++r) {
      for (Index j = 0; j < 2 * p.kv_width; ++j) {
        CAPTURE(r, j);
        const bool outside = r == 3 || r == 6;  // rows that belong to nobody
        REQUIRE((outside ? std::isnan(to_double(p.d_kv(r, j))) : to_double(p.d_kv(r, j)) == 0.0));
      }
    }
  };
  const AttentionShape none = {.heads = 0, .head_size = 5, .kv_heads = 3};
  const Batch batch = packed({{2, 3}, {0, 2}, {4, 1}}, none, 1);
  check(AttentionProblem<float>(batch));
  check(AttentionProblem<bf16>(batch));
  check(AttentionProblem<float>({.batch = 1, .time = 3, .heads = 0, .head_size = 5, .kv_heads = 3}));
}

TEST_CASE("scratch for any number of equal sequences is known at once") {
  const Index many = 1'000'000'000'000;
  AttentionShape shape = {.batch = many, .time = 3, .heads = 2, .head_size = 4};
  REQUIRE(attention_scratch_bytes(test_table(), 1, shape) > static_cast<std::size_t>(many));
  // What the sum over sequences says of a batch that exists.
  std::vector<AttentionSequence> sequences;
  for (Index b = 0; b < 7; ++b) sequences.push_back({130 * b, 130, 130 * b, 130});
  shape.batch = 7;
  shape.time = 130;
  const std::size_t equal = attention_scratch_bytes(test_table(), 3, shape);
  shape.sequences = sequences.data();
  REQUIRE(attention_scratch_bytes(test_table(), 3, shape) == equal);
}
