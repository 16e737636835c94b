#include "kernels/gemm_bf16.hpp"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/gemm_float_cases.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/isa.hpp"

using namespace loglog;
using namespace loglog::kernels;
using loglog::testing::check_activations;
using loglog::testing::check_batches;
using loglog::testing::check_bound;
using loglog::testing::check_contract;
using loglog::testing::check_epilogues;
using loglog::testing::check_exact_product;
using loglog::testing::check_foreign_layouts;
using loglog::testing::check_packed_again;
using loglog::testing::check_subnormal_products;
using loglog::testing::compare;
using loglog::testing::compare_equal;
using loglog::testing::Element;
using loglog::testing::GuardedMatrix;
using loglog::testing::GuardedMatrixOf;
using loglog::testing::integer_value;
using loglog::testing::random_value;

namespace {

using Bf16 = loglog::testing::Operand<bf16>;

struct Product {
  using T = bf16;
  Weights weights = Weights::plain;

  std::size_t scratch_bytes(int threads, Index m, Index n, Index k) const {
    return gemm_bf16_scratch_bytes(test_table(), threads, m, n, k, weights);
  }
  Subnormals subnormals() const { return test_table().gemm_bf16->subnormals; }
  void operator()(ExecContext& ctx, ConstMatrixBf16 a, ConstMatrixBf16 b, MatrixRef c, Accumulate accumulate,
                  const GemmEpilogue& epilogue) const {
    if (weights == Weights::packed)
      gemm_bf16(ctx, a, PackedMatrix<bf16>(test_table(), b), c, accumulate, epilogue);
    else
      gemm_bf16(ctx, a, b, c, accumulate, epilogue);
  }
};

void multiply(int threads, const Bf16& a, const Bf16& b, GuardedMatrix& c, Weights weights = Weights::plain,
              Accumulate accumulate = Accumulate::no, const GemmEpilogue& epilogue = {}) {
  testing::multiply(Product{weights}, threads, a, b, c, accumulate, epilogue);
}

void check_exact(Index m, Index n, Index k, int transposes, int threads, Weights weights,
                 Accumulate accumulate) {
  INFO("threads " << threads << (weights == Weights::packed ? ", packed weights" : ""));
  check_exact_product<bf16, float>(m, n, k, transposes, accumulate, integer_value,
                                   [&](const Bf16& a, const Bf16& b, GuardedMatrix& c) {
                                     multiply(threads, a, b, c, weights, accumulate);
                                   });
}

}  // namespace

TEST_CASE("bfloat16 is the nearest upper half of a float, ties to even", "[bf16]") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const bf16 value{static_cast<std::uint16_t>(bits)};
    const float x = to_float(value);
    const std::uint16_t back = to_bf16(x).bits;
    REQUIRE(back == (std::isnan(x) ? (bits | 0x40) : bits));
  }
  const auto rounded = [](std::uint32_t bits) { return to_bf16(std::bit_cast<float>(bits)).bits; };
  REQUIRE(rounded(0x3f808000) == 0x3f80);  // halfway, the even one is below
  REQUIRE(rounded(0x3f818000) == 0x3f82);  // halfway, the even one is above
  REQUIRE(rounded(0x3f808001) == 0x3f81);
  REQUIRE(rounded(0x3f807fff) == 0x3f80);
  REQUIRE(rounded(0x7f7fffff) == 0x7f80);  // beyond the largest: infinity
  REQUIRE(rounded(0xff800001) == 0xffc0);  // a signalling NaN whose payload is in the lower half
}

TEST_CASE("small integer products of bfloat16 are exact around every tile edge", "[gemm_bf16]") {
  const Index mr = test_table().gemm_bf16->mr, nr = test_table().gemm_bf16->nr;
  for (const Index m : {Index{0}, Index{1}, mr - 1, mr, mr + 1, 2 * mr + 1}) {
    for (const Index n : {Index{0}, Index{1}, nr - 1, nr, nr + 1, 2 * nr + 1}) {
      for (const Index k : {0, 1, 2, 33, 64}) {
        for (int transposes = 0; transposes < 4; ++transposes) {
          check_exact(m, n, k, transposes, 1, (m + k) % 2 == 0 ? Weights::plain : Weights::packed,
                      (n + k) % 2 == 0 ? Accumulate::no : Accumulate::yes);
        }
      }
    }
  }
}

TEST_CASE("small integer products of bfloat16 are exact for every size up to two tiles and one more",
          "[gemm_bf16][large]") {
  const GemmBf16& kernel = *test_table().gemm_bf16;
  testing::for_sizes_around_tiles(kernel.mr, kernel.nr, kernel.depth_multiple,
                                  [](Index m, Index n, Index k, int transposes) {
                                    const auto weights = (m + n) % 2 == 0 ? Weights::plain : Weights::packed;
                                    check_exact(m, n, k, transposes, 1, weights, Accumulate::no);
                                  });
}

TEST_CASE("small integer products of bfloat16 are exact across cache blocks and threads",
          "[gemm_bf16][large]") {
  struct Shape {
    Index m, n, k;
  };
  // K at 512 and M at 144 are block edges.
  const Shape shapes[] = {{145, 33, 511}, {19, 145, 512}, {300, 120, 513},
                          {13, 40, 1025}, {1, 301, 600},  {301, 1, 600}};
  for (const Shape& s : shapes) {
    for (int transposes = 0; transposes < 4; ++transposes) {
      for (const int threads : {1, 3})
        check_exact(s.m, s.n, s.k, transposes, threads, Weights::plain, Accumulate::no);
      check_exact(s.m, s.n, s.k, transposes, 2, Weights::packed, Accumulate::yes);
    }
  }
  // Where B goes through L2 in blocks of 1 MiB: 4 KiB of depth, 256 columns.
  check_exact(34, 290, 2113, 0, 1, Weights::packed, Accumulate::no);
  // Where a job packs B, in blocks of 512 steps and 768 columns, and up to 768 rows of A once for all blocks.
  for (const int transposes : {0, 1, 3}) {
    check_exact(70, 1600, 1030, transposes, 1, Weights::plain, Accumulate::no);
    check_exact(800, 800, 520, transposes, 1, Weights::plain, Accumulate::yes);
  }
}

TEST_CASE("split K of bfloat16: small integer products are exact", "[gemm_bf16][large]") {
  for (const Index k : {4096, 4160, 4224, 6400}) {
    check_exact(23, 40, k, 1, 2, Weights::plain, Accumulate::no);
    check_exact(33, 17, k, 3, 3, Weights::plain, Accumulate::yes);
  }
}

// The header's order, by a second way: each split as a product of its own, too short to be split again.
TEST_CASE("split K of bfloat16: the sums of the splits are added in ascending order", "[gemm_bf16][large]") {
  struct Shape {
    Index m, n, k, splits;
  };
  for (const auto& [m, n, k, splits] : {Shape{45, 70, 4224, 2},
                                        {45, 70, 6400, 2},  // thirds would be no multiple of 64
                                        {45, 70, 6336, 3},
                                        {16, 32, 4100, 1},
                                        {16, 31, 4096, 1}}) {
    INFO(m << " x " << n << " x " << k);
    const Bf16 a(m, k, true, 0, 0, random_value), b(k, n, false, 0, 0, random_value);
    const Index depth = k / splits;
    GuardedMatrix sum(m, n), part(m, n);
    for (Index s = 0; s < splits; ++s) {
      Scratch scratch(gemm_bf16_scratch_bytes(test_table(), 1, m, n, depth));
      ExecContext ctx{test_table(), 1, scratch};
      const ConstMatrixBf16 columns(a.ref().data + s * depth * m, m, depth, 1, m);
      gemm_bf16(ctx, columns, ConstMatrixBf16(b.ref().row(s * depth), depth, n),
                s == 0 ? sum.ref() : part.ref());
      for (Index e = 0; s > 0 && e < m * n; ++e) sum(e / n, e % n) += part(e / n, e % n);
    }
    for (const int threads : {1, 2, 3, 7}) {
      GuardedMatrix c(m, n);
      multiply(threads, a, b, c);
      REQUIRE(compare_equal(c.values(), sum.values()));
    }
  }
}

TEST_CASE("random products of bfloat16 stay within the bound of the header", "[gemm_bf16]") {
  check_bound(Product{Weights::plain});
  check_bound(Product{Weights::packed});
}

TEST_CASE("products of bfloat16 at the lower end of float stay within the bound of the header",
          "[gemm_bf16]") {
  check_subnormal_products(Product{Weights::plain});
  check_subnormal_products(Product{Weights::packed});
}

TEST_CASE("elements of bfloat16 below 2^-126 count, or are zero where the ISA says so", "[gemm_bf16]") {
  const Index m = 5, n = 40, k = 7;
  const Bf16 a(m, k, false, 0, 0, [](Index, Index p) { return p == 3 ? 0x1p-130 : 0.0; });
  const Bf16 b(k, n, false, 0, 0, [](Index, Index) { return 0x1p100; });
  GuardedMatrix c(m, n);
  multiply(1, a, b, c);
  const double expected = test_table().gemm_bf16->subnormals == Subnormals::kept ? 0x1p-30 : 0.0;
  REQUIRE(compare(m * n, [&](Index e) { return Element{c(e / n, e % n), expected}; }));
}

TEST_CASE("bits of bfloat16 products depend neither on threads nor on rows nor on packing",
          "[gemm_bf16][large]") {
  const Index m = 200, n = 300, k = 1100;
  for (int transposes = 0; transposes < 4; ++transposes) {
    const bool ta = (transposes & 1) != 0, tb = (transposes & 2) != 0;
    const Bf16 a(m, k, ta, 0, 0, random_value), b(k, n, tb, 0, 0, random_value);
    GuardedMatrix one(m, n);
    multiply(1, a, b, one);
    for (const int threads : {2, 3}) {
      GuardedMatrix c(m, n);
      multiply(threads, a, b, c, threads == 2 ? Weights::plain : Weights::packed);
      REQUIRE(compare_equal(c.values(), one.values()));
    }
    for (const Index rows : {1, 5, 16, 31}) {
      const Index first = m - rows;
      const Bf16 part(rows, k, ta, 0, 0, [&](Index i, Index p) { return random_value(first + i, p); });
      GuardedMatrix c(rows, n);
      multiply(1, part, b, c, Weights::packed);
      REQUIRE(compare(rows * n, [&](Index e) {
        return Element{c(e / n, e % n), one(first + e / n, e % n)};
      }));
    }
  }
}

TEST_CASE("a NaN reaches its row of a bfloat16 product and no other; epilogues follow the last block",
          "[gemm_bf16]") {
  const Index m = 40, n = 50, k = 700;
  const Bf16 a(m, k, false, 0, 0, [](Index i, Index p) { return i == 17 && p == 3 ? std::nan("") : 1.0; });
  const Bf16 b(k, n, false, 0, 0, [](Index, Index j) { return static_cast<double>(j % 3); });
  GuardedMatrix c(m, n), bias(1, n), residual(m, n);
  bias.fill([](Index, Index j) { return static_cast<double>(j); });
  residual.fill([](Index i, Index) { return static_cast<double>(1000 * i); });
  GemmEpilogue epilogue;
  epilogue.bias = bias.data();
  epilogue.residual = residual.ref();
  multiply(2, a, b, c, Weights::plain, Accumulate::no, epilogue);
  REQUIRE(compare(m * n, [&](Index e) {
    const Index i = e / n, j = e % n;
    return Element{c(i, j), i == 17 ? std::nan("") : static_cast<double>(700 * (j % 3) + j + 1000 * i)};
  }));
}

TEST_CASE("epilogues of bfloat16 products: bias, GELU, slope, factor, residual, C as its own",
          "[gemm_bf16]") {
  check_epilogues(Product{Weights::plain});
  check_epilogues(Product{Weights::packed});
}

TEST_CASE("epilogues of bfloat16 products: activations, slopes, factors", "[gemm_bf16]") {
  check_activations(Product{Weights::plain});
  check_activations(Product{Weights::packed});
}

TEST_CASE("a C of bfloat16 is that of float32 rounded once, of one K block and of several", "[gemm_bf16]") {
  for (const auto& shape :
       {std::array<Index, 3>{1, 70, 40}, {35, 77, 0}, {35, 77, 40}, {150, 33, 600}, {33, 65, 2100}}) {
    const Index m = shape[0], n = shape[1], k = shape[2];
    for (const Weights weights : {Weights::plain, Weights::packed}) {
      INFO("M " << m << " N " << n << " K " << k << (weights == Weights::packed ? ", packed" : ""));
      const Bf16 a(m, k, false, 0, 0, random_value), b(k, n, true, 0, 0, random_value);
      const std::vector<float> bias(n, 0.25f);
      GuardedMatrix residual(m, n), plain(m, n), slope(m, n), factor(m, n);
      GuardedMatrixOf<bf16> c(m, n, 3, 1), slope_bf16(m, n, 2), factor_bf16(m, n, 1, 1);
      residual.fill(random_value);
      factor_bf16.fill([](Index i, Index j) { return random_value(i + 50, j); });
      factor.fill([&](Index i, Index j) { return to_float(factor_bf16(i, j)); });
      GemmEpilogue epilogue = {.bias = bias.data(),
                               .activation = Activation::gelu,
                               .slope = slope.ref(),
                               .factor = factor.ref(),
                               .residual = residual.ref()};
      multiply(1, a, b, plain, weights, Accumulate::no, epilogue);
      epilogue.slope = slope_bf16.ref();
      epilogue.factor = factor_bf16.ref();
      for (const int threads : {1, 3}) {
        Scratch scratch(
            gemm_bf16_scratch_bytes(test_table(), threads, m, n, k, weights, FloatType::bfloat16));
        ExecContext ctx{test_table(), threads, scratch};
        if (weights == Weights::packed)
          gemm_bf16(ctx, a.ref(), PackedMatrix<bf16>(test_table(), b.ref()), c.ref(), Accumulate::no,
                    epilogue);
        else
          gemm_bf16(ctx, a.ref(), b.ref(), c.ref(), Accumulate::no, epilogue);
        REQUIRE((c.intact() && slope_bf16.intact()));
        REQUIRE(compare(m * n, [&](Index e) {
          const Index i = e / n, j = e % n;
          return Element{to_float(c(i, j)), to_float(to_bf16(plain(i, j)))};
        }));
        REQUIRE(compare(m * n, [&](Index e) {
          const Index i = e / n, j = e % n;
          return Element{to_float(slope_bf16(i, j)), to_float(to_bf16(slope(i, j)))};
        }));
        REQUIRE_THROWS_AS(gemm_bf16(ctx, a.ref(), b.ref(), c.ref(), Accumulate::yes), ContractError);
      }
    }
  }
}

TEST_CASE("weights are packed again from float32, by any number of threads", "[gemm_bf16]") {
  check_packed_again<bf16>();
}

TEST_CASE("weights and their transposes are packed together as they are apart", "[gemm_bf16]") {
  for (const auto& shape : {std::pair<Index, Index>{1, 1}, {37, 70}, {64, 131}, {130, 64}, {0, 5}, {5, 0}}) {
    const Index k = shape.first, n = shape.second;
    INFO("K " << k << " N " << n);
    const testing::Operand<float> b(k, n, false, 3, 1, random_value);
    const Bf16 rounded(k, n, false, 0, 0, random_value);
    const PackedMatrix<bf16> expected(test_table(), rounded.ref());
    const PackedMatrix<bf16> expected_transposed(test_table(), rounded.ref().transposed());
    for (const int threads : {1, 3}) {
      PackedMatrix<bf16> plain(test_table(), k, n), transposed(test_table(), n, k);
      Scratch scratch(pack_scratch_bytes(test_table(), threads, n));
      ExecContext ctx{test_table(), threads, scratch};
      PackedMatrix<bf16>::pack_both(ctx, plain, transposed, b.ref());
      const auto same = [](const PackedMatrix<bf16>& x, const PackedMatrix<bf16>& y) {
        const Index elements = x.layout().elements(x.rows(), x.cols());
        return std::memcmp(x.data(), y.data(), static_cast<std::size_t>(elements) * sizeof(bf16)) == 0;
      };
      REQUIRE(same(plain, expected));
      REQUIRE(same(transposed, expected_transposed));
      if (k != n)
        REQUIRE_THROWS_AS(PackedMatrix<bf16>::pack_both(ctx, transposed, plain, b.ref()), ContractError);
    }
  }
}

TEST_CASE("batches of bfloat16 products are exact, side by side, one behind the other, with shared weights",
          "[gemm_bf16][large]") {
  const auto run = [](int threads, const GemmBatch& batch, ConstMatrix<bf16> a, ConstMatrix<bf16> b,
                      Matrix<float> c, Accumulate accumulate) {
    Scratch scratch(
        gemm_bf16_batched_scratch_bytes(test_table(), threads, batch.count, a.rows, b.cols, a.cols));
    ExecContext ctx{test_table(), threads, scratch};
    gemm_bf16_batched(ctx, batch, a, b, c, accumulate);
  };
  check_batches<bf16, float>(run);
  // Matrices of C that overlap.
  const std::vector<bf16> ones(64);
  std::vector<float> c(64);
  const auto apart = [&](Index step) {
    run(1, {.count = 2, .a_step = 0, .b_step = 0, .c_step = step}, {ones.data(), 4, 4}, {ones.data(), 4, 4},
        {c.data(), 4, 4, 8}, Accumulate::no);
  };
  REQUIRE_NOTHROW(apart(4));
  REQUIRE_THROWS_AS(apart(3), ContractError);
}

TEST_CASE("a broken contract of bfloat16 products is refused", "[gemm_bf16]") {
  check_contract(Product{Weights::plain});
  check_contract(Product{Weights::packed});
  check_foreign_layouts<bf16>(test_table(), *test_table().gemm_bf16,
                              [](ExecContext& ctx, auto a, const auto& b) {
                                GuardedMatrix c(a.rows, b.cols());
                                gemm_bf16(ctx, a, b, c.ref());
                              });
}

TEST_CASE("sizes below 0 and overlapping rows are refused by products of bfloat16", "[gemm_bf16]") {
  for (const Weights weights : {Weights::plain, Weights::packed})
    testing::check_refused_extents(Product{weights});
}
