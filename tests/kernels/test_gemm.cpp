#include "kernels/gemm.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/gemm_float_cases.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/guarded_buffer.hpp"
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
using loglog::testing::integer_value;
using loglog::testing::Operand;
using loglog::testing::random_value;

namespace {

using FloatOperand = Operand<float>;

struct Product {
  using T = float;
  Weights weights = Weights::plain;

  std::size_t scratch_bytes(int threads, Index m, Index n, Index k) const {
    return gemm_scratch_bytes(test_table(), threads, m, n, k, weights);
  }
  Subnormals subnormals() const { return Subnormals::kept; }
  void operator()(ExecContext& ctx, ConstMatrixRef a, ConstMatrixRef b, MatrixRef c, Accumulate accumulate,
                  const GemmEpilogue& epilogue) const {
    if (weights == Weights::packed)
      gemm(ctx, a, PackedMatrix<float>(test_table(), b), c, accumulate, epilogue);
    else
      gemm(ctx, a, b, c, accumulate, epilogue);
  }
};

void multiply(int threads, const FloatOperand& a, const FloatOperand& b, GuardedMatrix& c,
              Accumulate accumulate = Accumulate::no, Weights weights = Weights::plain) {
  testing::multiply(Product{weights}, threads, a, b, c, accumulate);
}

void check_exact(Index m, Index n, Index k, int transposes, int threads, Accumulate accumulate) {
  INFO("threads " << threads);
  for (const Weights weights : {Weights::plain, Weights::packed}) {
    check_exact_product<float, float>(m, n, k, transposes, accumulate, integer_value,
                                      [&](const FloatOperand& a, const FloatOperand& b, GuardedMatrix& c) {
                                        multiply(threads, a, b, c, accumulate, weights);
                                      });
  }
}

}  // namespace

TEST_CASE("small integer products are exact around every tile edge", "[gemm]") {
  const Index mr = test_table().gemm_f32->mr, nr = test_table().gemm_f32->nr;
  for (const Index m : {Index{0}, Index{1}, mr - 1, mr, mr + 1, 2 * mr + 1}) {
    for (const Index n : {Index{0}, Index{1}, nr - 1, nr, nr + 1, 2 * nr + 1}) {
      for (const Index k : {0, 1, 2, 33}) {
        for (int transposes = 0; transposes < 4; ++transposes) {
          const auto accumulate = (m + n + k) % 2 == 0 ? Accumulate::no : Accumulate::yes;
          check_exact(m, n, k, transposes, 1, accumulate);
        }
      }
    }
  }
}

TEST_CASE("small integer products are exact for every size up to two tiles and one more", "[gemm][large]") {
  const GemmF32 &usual = *test_table().gemm_f32, &in_place = *test_table().gemm_f32_in_place;
  testing::for_sizes_around_tiles(
      std::max(usual.mr, in_place.mr), std::max(usual.nr, in_place.nr), 4,
      [](Index m, Index n, Index k, int transposes) { check_exact(m, n, k, transposes, 1, Accumulate::no); });
}

TEST_CASE("small integer products are exact across cache blocks and threads", "[gemm][large]") {
  struct Shape {
    Index m, n, k;
  };
  // K at 256, M at 144 and N at 2048 are block edges; the last rows are single row, single column, outer product.
  const Shape shapes[] = {{145, 33, 255}, {19, 145, 256}, {300, 120, 257}, {13, 40, 1025}, {3, 2100, 9},
                          {40, 2049, 3},  {1, 301, 600},  {301, 1, 600},   {290, 301, 1}};
  for (const Shape& s : shapes) {
    for (int transposes = 0; transposes < 4; ++transposes) {
      for (const int threads : {1, 3}) check_exact(s.m, s.n, s.k, transposes, threads, Accumulate::no);
      check_exact(s.m, s.n, s.k, transposes, 2, Accumulate::yes);
    }
  }
}

TEST_CASE("small integer products are exact across cache blocks of K and N together", "[gemm][large]") {
  const Index m = 2 * test_table().gemm_f32->mr + 1;
  check_exact(m, 2049, 1030, 0, 2, Accumulate::no);
  check_exact(m, 2049, 1030, 3, 2, Accumulate::yes);
}

// K is split where A is transposed: in 2 from 4096 on, in 3 from 6144 on, in 8 from 16,384 on.
TEST_CASE("split K: small integer products are exact, with an epilogue too", "[gemm][large]") {
  for (const Index k : {4095, 4096, 4097, 6300}) {
    for (const int transposes : {0, 1, 3}) {
      check_exact(23, 40, k, transposes, 2, Accumulate::no);
      check_exact(33, 17, k, transposes, 3, Accumulate::yes);
    }
  }
  check_exact(16, 33, 18500, 1, 2, Accumulate::no);
  const Index m = 20, n = 35, k = 4200;
  const FloatOperand a(m, k, true, 0, 0, integer_value), b(k, n, false, 0, 0, integer_value);
  GuardedMatrix product(m, n), residual(m, n), factor(m, n), c(m, n);
  multiply(1, a, b, product);
  residual.fill([](Index i, Index j) { return static_cast<double>(i - j); });
  factor.fill([](Index i, Index j) { return static_cast<double>(i % 3 + j % 2); });
  const std::vector<float> bias(n, 3.0f);
  GemmEpilogue epilogue;
  epilogue.bias = bias.data();
  epilogue.factor = factor.ref();
  epilogue.residual = residual.ref();
  Scratch scratch(gemm_scratch_bytes(test_table(), 2, m, n, k));
  ExecContext ctx{test_table(), 2, scratch};
  gemm(ctx, a.ref(), b.ref(), c.ref(), Accumulate::no, epilogue);
  REQUIRE(compare(m * n, [&](Index e) {
    const Index i = e / n, j = e % n;
    return Element{c(i, j), (product(i, j) + 3.0) * factor(i, j) + static_cast<double>(i - j)};
  }));
}

// The header's order, by a second way: each split as a product of its own, which is too short to be split again. For any number of
// threads, and packed.
TEST_CASE("split K: the sums of the splits are added in ascending order", "[gemm][large]") {
  struct Shape {
    Index m, n, k, splits;
  };
  for (const auto& [m, n, k, splits] : {Shape{45, 70, 4200, 2},
                                        {45, 70, 6200, 3},
                                        {16, 32, 4096, 2},
                                        {16, 31, 4096, 1},
                                        {16, 40, 18500, 8}}) {
    INFO(m << " x " << n << " x " << k);
    const FloatOperand a(m, k, true, 0, 0, random_value), b(k, n, false, 0, 0, random_value);
    GuardedMatrix sum(m, n), part(m, n);
    const Index blocks = ceil_div(k, 256);
    for (Index s = 0; s < splits; ++s) {
      const Index first = s * blocks / splits * 256, end = std::min(k, (s + 1) * blocks / splits * 256);
      Scratch scratch(gemm_scratch_bytes(test_table(), 1, m, n, end - first));
      ExecContext ctx{test_table(), 1, scratch};
      const ConstMatrixRef columns(a.ref().data + first * m, m, end - first, 1, m);
      const ConstMatrixRef rows(b.ref().row(first), end - first, n);
      REQUIRE((splits == 1 || end - first < 4096));
      gemm(ctx, columns, rows, s == 0 ? sum.ref() : part.ref());
      for (Index e = 0; s > 0 && e < m * n; ++e) sum(e / n, e % n) += part(e / n, e % n);
    }
    for (const int threads : {1, 2, 3, 7}) {
      GuardedMatrix c(m, n);
      multiply(threads, a, b, c, Accumulate::no, threads == 2 ? Weights::packed : Weights::plain);
      REQUIRE(compare_equal(c.values(), sum.values()));
    }
  }
}

// Products of these sizes take too long; what they take from scratch tells whether they are split.
TEST_CASE("split K: not where C is large or A is as it lies", "[gemm]") {
  const auto bytes = [](Index m, LeftFactor a) {
    return gemm_scratch_bytes(test_table(), 1, m, 1024, 4096, Weights::plain, a);
  };
  REQUIRE(bytes(1024, LeftFactor::transposed) == bytes(1024, LeftFactor::as_it_is) + (4u << 20));
  REQUIRE(bytes(1025, LeftFactor::transposed) == bytes(1025, LeftFactor::as_it_is));
}

// Without gaps between its rows a tall C is computed as its transpose.
TEST_CASE("a tall C of a transposed A has the bits of one whose rows lie apart", "[gemm][large]") {
  struct Shape {
    Index m, n, k;
  };
  for (const Shape& s : {Shape{33, 16, 256}, Shape{5, 1, 300}, Shape{40, 20, 2048}, Shape{71, 33, 2100},
                         Shape{300, 1, 18500}, Shape{70, 34, 4200}}) {
    const Index m = s.m, n = s.n, k = s.k;
    INFO(m << " x " << n << " x " << k);
    const FloatOperand a(m, k, true, 0, 0, random_value), b(k, n, false, 0, 0, random_value);
    const auto before = [](Index i, Index j) { return random_value(j, i); };
    for (const auto accumulate : {Accumulate::no, Accumulate::yes}) {
      GuardedMatrix apart(m, n, 3);
      if (accumulate == Accumulate::yes) apart.fill(before);
      multiply(1, a, b, apart, accumulate);
      for (const int threads : {1, 2, 3}) {
        GuardedMatrix c(m, n);
        if (accumulate == Accumulate::yes) c.fill(before);
        multiply(threads, a, b, c, accumulate);
        REQUIRE(compare(m * n, [&](Index e) { return Element{c(e / n, e % n), apart(e / n, e % n)}; }));
      }
    }
  }
}

TEST_CASE("a tall C of a transposed A takes scratch for its transpose", "[gemm]") {
  const auto bytes = [](Index m, Index n, Index k, LeftFactor a) {
    return gemm_scratch_bytes(test_table(), 1, m, n, k, Weights::plain, a);
  };
  const auto takes_more = [&](Index m, Index n, Index k) {
    return bytes(m, n, k, LeftFactor::transposed) >= bytes(m, n, k, LeftFactor::as_it_is) + 4 * m * n;
  };
  REQUIRE(takes_more(1000, 500, 2048));
  REQUIRE_FALSE(takes_more(999, 500, 2048));
  REQUIRE_FALSE(takes_more(1000, 500, 2047));
}

TEST_CASE("split K: random products stay within the bound of the header", "[gemm][large]") {
  const Index m = 17, n = 33, k = 4200;
  const FloatOperand a(m, k, true, 0, 0, random_value), b(k, n, false, 0, 0, random_value);
  GuardedMatrix c(m, n);
  multiply(2, a, b, c);
  REQUIRE(compare(m * n, [&](Index e) {
    const Index i = e / n, j = e % n;
    const auto sum = testing::exact_sum(a, b, i, j);
    return Element{c(i, j), sum.value, testing::product_bound(k, sum.absolute)};
  }));
}

TEST_CASE("random products stay within the bound of the header", "[gemm]") {
  check_bound(Product{Weights::plain});
  check_bound(Product{Weights::packed});
}

TEST_CASE("products at the lower end of float stay within the bound of the header", "[gemm]") {
  check_subnormal_products(Product{});
}

TEST_CASE("bits depend neither on threads nor on the number of rows nor on packing", "[gemm][large]") {
  const Index m = 200, n = 300, k = 600;
  for (int transposes = 0; transposes < 4; ++transposes) {
    const bool ta = (transposes & 1) != 0, tb = (transposes & 2) != 0;
    const FloatOperand a(m, k, ta, 0, 0, random_value), b(k, n, tb, 0, 0, random_value);
    GuardedMatrix one(m, n);
    multiply(1, a, b, one);
    for (const int threads : {2, 3}) {
      GuardedMatrix c(m, n);
      multiply(threads, a, b, c, Accumulate::no, threads == 2 ? Weights::plain : Weights::packed);
      REQUIRE(compare_equal(c.values(), one.values()));
    }
    // Few rows read B in place, many pack it; few columns read A in place; up to 16 rows go through packed weights column by
    // column.
    for (const Index rows : {1, 5, 16, 31}) {
      const Index first = m - rows;
      const FloatOperand part(rows, k, ta, 0, 0,
                              [&](Index i, Index p) { return random_value(first + i, p); });
      for (const Weights weights : {Weights::plain, Weights::packed}) {
        GuardedMatrix c(rows, n);
        multiply(1, part, b, c, Accumulate::no, weights);
        REQUIRE(compare(rows * n, [&](Index e) {
          return Element{c(e / n, e % n), one(first + e / n, e % n)};
        }));
      }
    }
  }
}

TEST_CASE("a NaN reaches its row of C and no other", "[gemm]") {
  const FloatOperand a(40, 20, false, 0, 0,
                       [](Index i, Index p) { return i == 17 && p == 3 ? std::nan("") : 1.0; });
  const FloatOperand b(20, 50, false, 0, 0, [](Index, Index) { return 0.0; });
  GuardedMatrix c(40, 50);
  multiply(1, a, b, c);
  REQUIRE(compare(40 * 50, [&](Index e) {
    return Element{c(e / 50, e % 50), e / 50 == 17 ? std::nan("") : 0.0};
  }));
}

TEST_CASE("epilogues: bias, GELU, slope, factor, residual, C as its own", "[gemm]") {
  check_epilogues(Product{Weights::plain});
  check_epilogues(Product{Weights::packed});
}

TEST_CASE("epilogues: activations and their slopes", "[gemm]") {
  check_activations(Product{Weights::plain});
  check_activations(Product{Weights::packed});
}

TEST_CASE("weights are packed again, by any number of threads", "[gemm]") {
  check_packed_again<float>();
}

TEST_CASE("batches of products are exact, side by side, one behind the other, with shared weights",
          "[gemm]") {
  const auto run = [](int threads, const GemmBatch& batch, ConstMatrix<float> a, ConstMatrix<float> b,
                      Matrix<float> c, Accumulate accumulate) {
    Scratch scratch(gemm_scratch_bytes(test_table(), threads, a.rows, b.cols, a.cols));
    ExecContext ctx{test_table(), threads, scratch};
    gemm_batched(ctx, batch, a, b, c, accumulate);
  };
  check_batches<float, float>(run);
  // Matrices of C that overlap.
  const std::vector<float> ones(64);
  std::vector<float> c(64);
  const auto apart = [&](Index step) {
    run(1, {.count = 2, .a_step = 0, .b_step = 0, .c_step = step}, {ones.data(), 4, 4}, {ones.data(), 4, 4},
        {c.data(), 4, 4, 8}, Accumulate::no);
  };
  REQUIRE_NOTHROW(apart(4));
  REQUIRE_THROWS_AS(apart(3), ContractError);
}

TEST_CASE("a broken contract is refused", "[gemm]") {
  check_contract(Product{Weights::plain});
  check_contract(Product{Weights::packed});
  check_foreign_layouts<float>(test_table(), *test_table().gemm_f32,
                               [](ExecContext& ctx, auto a, const auto& b) {
                                 GuardedMatrix c(a.rows, b.cols());
                                 gemm(ctx, a, b, c.ref());
                               });
}

#if !defined(NDEBUG) || defined(LOGLOG_SANITIZED)
TEST_CASE("a leaf traps what its driver must never ask for", "[gemm]") {
  const GemmF32& kernel = *test_table().gemm_f32;
  const Index wide = 2 * kernel.nr;
  const std::vector<float> a(kernel.mr), b(wide);
  std::vector<float> c(wide);
  GemmStrip strip = {.m = 1,
                     .k = 1,
                     .n = kernel.nr,
                     .a = a.data(),
                     .a_row = 1,
                     .a_step = kernel.mr,
                     .a_tile = kernel.mr,
                     .b = b.data(),
                     .b_step = wide,
                     .c = c.data(),
                     .c_row = wide};
  for (const bool broken : {false, true}) {
    if (broken) ++strip.n;
    const pid_t child = ::fork();
    if (child == 0) {
      kernel.strip(strip);
      ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE((status != 0) == broken);
  }
}
#endif

TEST_CASE("sizes below 0 and overlapping rows are refused", "[gemm]") {
  for (const Weights weights : {Weights::plain, Weights::packed})
    testing::check_refused_extents(Product{weights});
}
