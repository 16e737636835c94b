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

TEST_CASE("epilogues of bfloat16 products: bias, value before GELU, GELU, residual, C as its own",
          "[gemm_bf16]") {
  check_epilogues(Product{Weights::plain});
  check_epilogues(Product{Weights::packed});
}

TEST_CASE("epilogues of bfloat16 products: activations and their slopes", "[gemm_bf16]") {
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
      GuardedMatrix residual(m, n), plain(m, n), before(m, n);
      GuardedMatrixOf<bf16> c(m, n, 3, 1), before_bf16(m, n, 2);
      residual.fill(random_value);
      GemmEpilogue epilogue = {.bias = bias.data(),
                               .pre_activation = before.ref(),
                               .activation = Activation::gelu,
                               .residual = residual.ref()};
      multiply(1, a, b, plain, weights, Accumulate::no, epilogue);
      epilogue.pre_activation = before_bf16.ref();
      for (const int threads : {1, 3}) {
        Scratch scratch(
            gemm_bf16_scratch_bytes(test_table(), threads, m, n, k, weights, FloatType::bfloat16));
        ExecContext ctx{test_table(), threads, scratch};
        if (weights == Weights::packed)
          gemm_bf16(ctx, a.ref(), PackedMatrix<bf16>(test_table(), b.ref()), c.ref(), Accumulate::no,
                    epilogue);
        else
          gemm_bf16(ctx, a.ref(), b.ref(), c.ref(), Accumulate::no, epilogue);
        REQUIRE((c.intact() && before_bf16.intact()));
        REQUIRE(compare(m * n, [&](Index e) {
          const Index i = e / n, j = e % n;
          return Element{to_float(c(i, j)), to_float(to_bf16(plain(i, j)))};
        }));
        REQUIRE(compare(m * n, [&](Index e) {
          const Index i = e / n, j = e % n;
          return Element{to_float(before_bf16(i, j)), to_float(to_bf16(before(i, j)))};
        }));
        REQUIRE_THROWS_AS(gemm_bf16(ctx, a.ref(), b.ref(), c.ref(), Accumulate::yes), ContractError);
      }
    }
  }
}

TEST_CASE("weights are packed again from float32, by any number of threads", "[gemm_bf16]") {
  check_packed_again<bf16>();
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
