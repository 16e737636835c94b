// Attention of operands in bfloat16: taken as they are, computed in float32, rounded once when stored. Where the table has its
// own product of them, P and dS are rounded too.
#include "kernels/attention_gradients.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

namespace {

template <class To, class From>
void copy(GuardedMatrixOf<To>& to, const GuardedMatrixOf<From>& from) {
  to.fill([&](Index i, Index j) { return to_double(from(i, j)); });
}

AttentionShape self_attention(Index time, Index size, AttentionMask mask, Index kv_heads) {
  return {.batch = 2, .time = time, .heads = 4, .head_size = size, .kv_heads = kv_heads, .mask = mask};
}

}  // namespace

TEST_CASE("bfloat16 is within its bound: forward, gradients, and a cache of it under float32 queries",
          "[large]") {
  for (const NamedMask& m : kMasks) {
    for (const auto& [time, size, kv_heads] :
         {std::array<Index, 3>{1, 16, 4}, {13, 20, 2}, {90, 16, 1}, {40, 64, 4}, {270, 20, 2}}) {
      CAPTURE(m.name, time, size, kv_heads);
      AttentionProblem<bf16> all(self_attention(time, size, m.mask, kv_heads));
      check_forward(all);
      // Three blocks of keys, for masks with either end.
      if (time < 100 || (m.mask.window == 70 && m.mask.prefix == 0) || m.name == std::string("causal"))
        check_gradients(all);
      AttentionProblem<float, bf16> cache(self_attention(time, size, m.mask, kv_heads));
      check_forward(cache);
      if (time < 100) check_gradients(cache);
    }
  }
}

TEST_CASE(
    "without a product of bfloat16, results are those in float32 of the same values, rounded to nearest "
    "even") {
  if (weight_rounding<bf16, bf16>() > 0.0) return;
  for (const Index size : {20, 64}) {
    CAPTURE(size);
    AttentionProblem<bf16> narrow(self_attention(150, size, {}, 2));
    AttentionProblem<float> wide(self_attention(150, size, {}, 2));
    copy(wide.q, narrow.q);
    copy(wide.kv, narrow.kv);
    copy(wide.d_out, narrow.d_out);
    narrow.forward();
    wide.forward();
    const auto rounded = [](const GuardedMatrix& x) {
      std::vector<double> values;
      for (const float v : x.values()) values.push_back(to_double(to_bf16(v)));
      return values;
    };
    const auto widened = [](const GuardedMatrixOf<bf16>& x) {
      std::vector<double> values;
      for (const bf16 v : x.values()) values.push_back(to_double(v));
      return values;
    };
    REQUIRE(compare_equal(widened(narrow.out), rounded(wide.out)));
    REQUIRE(compare_equal(narrow.lse.values(), wide.lse.values()));
    copy(wide.out, narrow.out);  // backward takes the out that was stored
    narrow.backward();
    wide.backward();
    REQUIRE(compare_equal(widened(narrow.d_q), rounded(wide.d_q)));
    REQUIRE(compare_equal(widened(narrow.d_kv), rounded(wide.d_kv)));
  }
}

TEST_CASE("scores overflow before they are divided by sqrt(D) where the ISA multiplies bfloat16 itself") {
  // q . k = D * 2^120, 2^128 with D = 256.
  const bool is_native = weight_rounding<bf16, bf16>() > 0.0;
  for (const Index size : {64, 256}) {
    CAPTURE(size);
    AttentionProblem<bf16> p({.batch = 1, .time = 1, .heads = 1, .head_size = size});
    p.q.fill([](Index, Index) { return 0x1p60; });
    p.kv.fill([](Index, Index) { return 0x1p60; });
    p.forward();
    const float lse = p.lse(0, 0);
    if (is_native && size == 256) {
      REQUIRE(std::isnan(lse));
      REQUIRE(std::isnan(to_double(p.out(0, 0))));
    } else {
      REQUIRE(lse == static_cast<float>(0x1p120 * std::sqrt(static_cast<double>(size))));
      REQUIRE(to_double(p.out(0, 0)) == 0x1p60);
    }
  }
}
