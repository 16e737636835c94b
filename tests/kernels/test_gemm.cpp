#include "kernels/gemm.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <vector>

#include "kernels/gemm_float_cases.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/guarded_buffer.hpp"
#include "support/isa.hpp"

using namespace loglog;
using namespace loglog::kernels;
using loglog::testing::check_batches;
using loglog::testing::check_bound;
using loglog::testing::check_contract;
using loglog::testing::check_epilogues;
using loglog::testing::check_exact_product;
using loglog::testing::check_foreign_layouts;
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

TEST_CASE("small integer products are exact across cache blocks and threads", "[gemm]") {
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

TEST_CASE("small integer products are exact across cache blocks of K and N together", "[gemm]") {
  const Index m = 2 * test_table().gemm_f32->mr + 1;
  check_exact(m, 2049, 1030, 0, 2, Accumulate::no);
  check_exact(m, 2049, 1030, 3, 2, Accumulate::yes);
}

// Spans of K, which only a transposed A has: 2 from 4096 on, here of 2048 to 2304 steps; 3 from 6144 on.
TEST_CASE("spans of K: small integer products are exact, with epilogues and in batches too",
          "[gemm][large]") {
  for (const Index k : {4095, 4096, 4097, 6300}) {
    for (const int transposes : {0, 1, 3}) {
      check_exact(23, 40, k, transposes, 2, Accumulate::no);
      check_exact(33, 17, k, transposes, 3, Accumulate::yes);
    }
  }
  const Index m = 20, n = 35, k = 4200;
  const FloatOperand a(m, k, true, 0, 0, integer_value), b(k, n, false, 0, 0, integer_value);
  GuardedMatrix product(m, n), residual(m, n), pre(m, n), c(m, n);
  multiply(1, a, b, product);
  residual.fill([](Index i, Index j) { return static_cast<double>(i - j); });
  const std::vector<float> bias(n, 3.0f);
  GemmEpilogue epilogue;
  epilogue.bias = bias.data(), epilogue.pre_activation = pre.ref(), epilogue.residual = residual.ref();
  Scratch scratch(gemm_scratch_bytes(test_table(), 2, m, n, k));
  ExecContext ctx{test_table(), 2, scratch};
  gemm(ctx, a.ref(), b.ref(), c.ref(), Accumulate::no, epilogue);
  REQUIRE(compare(m * n, [&](Index e) {
    const Index i = e / n, j = e % n;
    return Element{c(i, j), product(i, j) + 3.0 + static_cast<double>(i - j)};
  }));
  REQUIRE(compare(m * n, [&](Index e) { return Element{pre(e / n, e % n), product(e / n, e % n) + 3.0}; }));
  std::vector<float> batched(static_cast<std::size_t>(2 * m * n));
  gemm_batched(ctx, {.count = 2, .a_step = 0, .b_step = 0, .c_step = m * n}, a.ref(), b.ref(),
               {batched.data(), m, n}, Accumulate::no);
  REQUIRE(compare(2 * m * n, [&](Index e) {
    return Element{batched[static_cast<std::size_t>(e)], product(e % (m * n) / n, e % n)};
  }));
}

TEST_CASE("spans of K: no bit depends on threads or packing", "[gemm][large]") {
  const Index m = 45, n = 70, k = 6200;
  const FloatOperand a(m, k, true, 0, 0, random_value), b(k, n, false, 0, 0, random_value);
  GuardedMatrix one(m, n);
  multiply(1, a, b, one);
  for (const int threads : {2, 3, 7}) {
    GuardedMatrix c(m, n);
    multiply(threads, a, b, c, Accumulate::no, threads == 2 ? Weights::packed : Weights::plain);
    REQUIRE(compare_equal(c.values(), one.values()));
  }
}

TEST_CASE("random products stay within the bound of the header", "[gemm]") {
  check_bound(Product{Weights::plain});
  check_bound(Product{Weights::packed});
}

TEST_CASE("products at the lower end of float stay within the bound of the header", "[gemm]") {
  check_subnormal_products(Product{});
}

TEST_CASE("bits depend neither on threads nor on the number of rows nor on packing", "[gemm]") {
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

TEST_CASE("epilogues: bias, value before GELU, GELU, residual, C as its own", "[gemm]") {
  check_epilogues(Product{Weights::plain});
  check_epilogues(Product{Weights::packed});
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
