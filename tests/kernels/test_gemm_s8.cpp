#include "kernels/gemm_s8.hpp"

#include <limits>
#include <vector>

#include "base/check.hpp"
#include "kernels/gemm_operand.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/isa.hpp"

using namespace loglog;
using namespace loglog::kernels;
using loglog::testing::check_batches;
using loglog::testing::check_exact_product;
using loglog::testing::check_foreign_layouts;
using loglog::testing::compare;
using loglog::testing::Element;
using loglog::testing::GuardedMatrixOf;
using loglog::testing::hash;

namespace {

using S8 = loglog::testing::Operand<std::int8_t>;
using S32 = GuardedMatrixOf<std::int32_t>;

// Every int8, the extremes in half of the places: sums of their products saturate int16 and expose a wrong sign.
double byte_value(Index i, Index j) {
  constexpr double kExtremes[] = {-128, 127, -127, -128};
  const std::uint32_t h = hash(i, j);
  return (h & 1) != 0 ? kExtremes[h / 2 % 4] : static_cast<double>(h / 2 % 256) - 128.0;
}

void product(ExecContext& ctx, ConstMatrixS8 a, ConstMatrixS8 b, MatrixS32 c, Weights weights,
             Accumulate accumulate = Accumulate::no) {
  if (weights == Weights::packed)
    gemm_s8(ctx, a, PackedMatrix<std::int8_t>(test_table(), b), c, accumulate);
  else
    gemm_s8(ctx, a, b, c, accumulate);
}

void multiply(int threads, const S8& a, const S8& b, S32& c, Weights weights, Accumulate accumulate) {
  Scratch scratch(gemm_s8_scratch_bytes(test_table(), threads, c.rows(), c.cols(), a.ref().cols, weights));
  ExecContext ctx{test_table(), threads, scratch};
  product(ctx, a.ref(), b.ref(), c.ref(), weights, accumulate);
  REQUIRE(c.intact());
}

void check(Index m, Index n, Index k, int transposes, int threads, Weights weights, Accumulate accumulate) {
  INFO("threads " << threads << (weights == Weights::packed ? ", packed weights" : ""));
  check_exact_product<std::int8_t, std::int32_t>(
      m, n, k, transposes, accumulate, byte_value,
      [&](const S8& a, const S8& b, S32& c) { multiply(threads, a, b, c, weights, accumulate); });
}

}  // namespace

TEST_CASE("int8 products are exact around every tile edge", "[gemm_s8]") {
  const GemmS8& kernel = *test_table().gemm_s8;
  const Index mr = kernel.mr, nr = kernel.nr;
  for (const Index m : {Index{0}, Index{1}, mr - 1, mr, mr + 1, 2 * mr + 1}) {
    for (const Index n : {Index{0}, Index{1}, nr - 1, nr, nr + 1, 2 * nr + 1}) {
      for (const Index k : {0, 1, 2, 3, 4, 5, 33, 64, 131}) {
        for (int transposes = 0; transposes < 4; ++transposes) {
          check(m, n, k, transposes, 1, (m + k) % 2 == 0 ? Weights::plain : Weights::packed,
                (n + k) % 2 == 0 ? Accumulate::no : Accumulate::yes);
        }
      }
    }
  }
}

TEST_CASE("int8 products are exact for every size up to two tiles and one more", "[gemm_s8][large]") {
  const GemmS8& kernel = *test_table().gemm_s8;
  testing::for_sizes_around_tiles(kernel.mr, kernel.nr, kernel.depth_multiple,
                                  [](Index m, Index n, Index k, int transposes) {
                                    const auto weights = (m + n) % 2 == 0 ? Weights::plain : Weights::packed;
                                    check(m, n, k, transposes, 1, weights, Accumulate::no);
                                  });
}

TEST_CASE("int8 products are exact across cache blocks and threads", "[gemm_s8][large]") {
  struct Shape {
    Index m, n, k;
  };
  // K at 1024 and M at 144 are block edges.
  const Shape shapes[] = {{145, 33, 1023}, {19, 145, 1024}, {300, 120, 257}, {13, 40, 2100}, {16, 33, 1100},
                          {160, 33, 1100}, {1, 301, 1600},  {301, 1, 600},   {290, 301, 1}};
  for (const Shape& s : shapes) {
    for (int transposes = 0; transposes < 4; ++transposes) {
      for (const int threads : {1, 2, 3})
        check(s.m, s.n, s.k, transposes, threads, Weights::plain, Accumulate::no);
      check(s.m, s.n, s.k, transposes, 2, Weights::packed, Accumulate::yes);
    }
  }
  // Where B goes through L2 in blocks of 1 MiB: 4 KiB of depth, 256 columns.
  check(34, 290, 4161, 0, 1, Weights::packed, Accumulate::no);
}

TEST_CASE("the largest sums that int32 holds, and no longer ones", "[gemm_s8]") {
  const Index k = kGemmS8MaxDepth;  // 2^17 - 1 products of 2^14
  const S8 a(2, k, false, 0, 0, [](Index, Index) { return -128.0; }),
      b(k, 3, true, 0, 0, [](Index, Index) { return -128.0; });
  S32 c(2, 3);
  multiply(1, a, b, c, Weights::plain, Accumulate::no);
  REQUIRE(compare(6, [&](Index e) {
    return Element{static_cast<double>(c(e / 3, e % 3)), 16384.0 * static_cast<double>(k)};
  }));
  const std::vector<std::int8_t> zeros(kGemmS8MaxDepth + 1);
  std::int32_t sum = 0;
  Scratch scratch(gemm_s8_scratch_bytes(test_table(), 1, 1, 1, kGemmS8MaxDepth + 1));
  ExecContext ctx{test_table(), 1, scratch};
  for (const Weights weights : {Weights::plain, Weights::packed}) {
    for (const Index depth : {kGemmS8MaxDepth, kGemmS8MaxDepth + 1}) {
      const auto run = [&] {
        product(ctx, {zeros.data(), 1, depth}, {zeros.data(), depth, 1}, {&sum, 1, 1}, weights);
      };
      if (depth == kGemmS8MaxDepth)
        REQUIRE_NOTHROW(run());
      else
        REQUIRE_THROWS_AS(run(), ContractError);
    }
  }
}

TEST_CASE("what is added to C wraps at the ends of int32", "[gemm_s8]") {
  constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max(), kLeast = -kMost - 1;
  const Index nr = test_table().gemm_s8->nr;
  const S8 ones(1, 5, false, 0, 0, [](Index, Index) { return 1.0; }),
      signs(5, nr + 1, false, 0, 0, [](Index, Index j) { return j % 2 == 0 ? 1.0 : -1.0; });
  for (const Weights weights : {Weights::plain, Weights::packed}) {
    S32 c(1, nr + 1);
    c.fill([&](Index, Index j) { return j % 2 == 0 ? kMost - 2 : kLeast + 2; });
    multiply(1, ones, signs, c, weights, Accumulate::yes);  // 3 beyond the end
    for (Index j = 0; j <= nr; ++j) REQUIRE(c(0, j) == (j % 2 == 0 ? kLeast + 2 : kMost - 2));
    S8 back(5, nr + 1, false, 0, 0, [&](Index p, Index j) { return -signs(p, j); });
    multiply(1, ones, back, c, weights, Accumulate::yes);
    for (Index j = 0; j <= nr; ++j) REQUIRE(c(0, j) == (j % 2 == 0 ? kMost - 2 : kLeast + 2));
  }
}

TEST_CASE("batches of int8 products are exact, side by side, one behind the other, with shared weights",
          "[gemm_s8][large]") {
  const auto run = [](int threads, const GemmBatch& batch, ConstMatrix<std::int8_t> a,
                      ConstMatrix<std::int8_t> b, Matrix<std::int32_t> c, Accumulate accumulate) {
    Scratch scratch(
        gemm_s8_batched_scratch_bytes(test_table(), threads, batch.count, a.rows, b.cols, a.cols));
    ExecContext ctx{test_table(), threads, scratch};
    gemm_s8_batched(ctx, batch, a, b, c, accumulate);
  };
  check_batches<std::int8_t, std::int32_t>(run);
  // Matrices of C that overlap.
  const std::vector<std::int8_t> ones(64);
  std::vector<std::int32_t> c(64);
  const auto apart = [&](Index step) {
    run(1, {.count = 2, .a_step = 0, .b_step = 0, .c_step = step}, {ones.data(), 4, 4}, {ones.data(), 4, 4},
        {c.data(), 4, 4, 8}, Accumulate::no);
  };
  REQUIRE_NOTHROW(apart(4));
  REQUIRE_THROWS_AS(apart(3), ContractError);
}

TEST_CASE("a broken contract of int8 products is refused", "[gemm_s8]") {
  const std::vector<std::int8_t> ones(64, 1);
  std::vector<std::int32_t> c(64, 0);
  const ConstMatrixS8 a(ones.data(), 8, 8), b = a;
  const MatrixS32 out(c.data(), 8, 8);
  for (const Weights weights : {Weights::plain, Weights::packed}) {
    const std::size_t bytes = gemm_s8_scratch_bytes(test_table(), 1, 8, 8, 8, weights);
    Scratch scratch(bytes), small(bytes - kCacheLineBytes);
    ExecContext ctx{test_table(), 1, scratch}, poor{test_table(), 1, small};
    REQUIRE_NOTHROW(product(ctx, a, b, out, weights));
    REQUIRE_THROWS_AS(product(ctx, {ones.data(), 8, 7}, b, out, weights), ContractError);
    REQUIRE_THROWS_AS(product(ctx, {ones.data(), 7, 8}, b, out, weights), ContractError);
    REQUIRE_THROWS_AS(product(ctx, a, {ones.data(), 8, 7}, out, weights), ContractError);
    REQUIRE_THROWS_AS(product(poor, a, b, out, weights), ContractError);
    ctx.threads = 0;
    REQUIRE_THROWS_AS(product(ctx, a, b, out, weights), ContractError);
  }
  check_foreign_layouts<std::int8_t>(test_table(), *test_table().gemm_s8,
                                     [](ExecContext& own, auto left, const auto& packed) {
                                       S32 into(left.rows, packed.cols());
                                       gemm_s8(own, left, packed, into.ref());
                                     });
}

TEST_CASE("sizes below 0 are refused by products of int8", "[gemm_s8]") {
  for (const Weights weights : {Weights::plain, Weights::packed}) {
    loglog::testing::check_negative_sizes<std::int8_t, std::int32_t>(
        [&](ExecContext& ctx, auto a, auto b, auto c) { product(ctx, a, b, c, weights); });
  }
}

TEST_CASE("overlapping rows of C are refused by products of int8", "[gemm_s8]") {
  for (const Weights weights : {Weights::plain, Weights::packed}) {
    loglog::testing::check_overlapping_rows<std::int8_t, std::int32_t>(
        [&](ExecContext& ctx, auto a, auto b, auto c) { product(ctx, a, b, c, weights); });
  }
}
