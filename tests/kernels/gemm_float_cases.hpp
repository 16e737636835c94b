// What every product with float sums promises and refuses (gemm.hpp): the cases that test_gemm.cpp and test_gemm_bf16.cpp
// share. A Product says which one is meant:
//
//   using T = ...                                      elements of A and B
//   scratch_bytes(threads, m, n, k)                    what its header says that it takes, and not a byte more
//   subnormals()                                       what it makes of them
//   operator()(ctx, a, b, c, accumulate, epilogue)
#pragma once
#include <cmath>
#include <vector>

#include "base/check.hpp"
#include "kernels/gemm_operand.hpp"
#include "kernels/rowwise/activation.hpp"
#include "kernels/rowwise/sums.hpp"
#include "support/isa.hpp"

namespace loglog::testing {

// C with canaries around it, and just the scratch that the product asks for.
template <class Product>
void multiply(const Product& product, int threads, const Operand<typename Product::T>& a,
              const Operand<typename Product::T>& b, GuardedMatrix& c,
              kernels::Accumulate accumulate = kernels::Accumulate::no,
              const kernels::GemmEpilogue& epilogue = {}) {
  kernels::Scratch scratch(product.scratch_bytes(threads, c.rows(), c.cols(), a.ref().cols));
  kernels::ExecContext ctx{test_table(), threads, scratch};
  product(ctx, a.ref(), b.ref(), c.ref(), accumulate, epilogue);
  REQUIRE(c.intact());
}

// The bound of gemm.hpp on a sum of K products that add up to `absolute` without their signs, C among them.
inline double product_bound(Index k, double absolute) {
  return static_cast<double>(k + 2) * kUnitRoundoff * absolute + static_cast<double>(k) * 0x1p-149;
}

// Random products, alone and on top of C.
template <class Product>
void check_bound(const Product& product) {
  const Index m = 37, n = 45;
  for (const Index k : {1, 7, 64, 300, 1000}) {
    for (const auto accumulate : {kernels::Accumulate::no, kernels::Accumulate::yes}) {
      INFO("K " << k << (accumulate == kernels::Accumulate::yes ? ", added" : ""));
      const bool add = accumulate == kernels::Accumulate::yes;
      const Operand<typename Product::T> a(m, k, false, 0, 0, random_value),
          b(k, n, k % 2 == 0, 0, 0, random_value);
      GuardedMatrix before(m, n), c(m, n);
      before.fill([](Index i, Index j) { return random_value(i + 300, j); });
      if (add) c.fill([&](Index i, Index j) { return before(i, j); });
      multiply(product, 2, a, b, c, accumulate);
      const auto verdict = [&](auto&& bound) {
        return compare(m * n, [&](Index e) {
          const Index i = e / n, j = e % n;
          const Sum sum = exact_sum(a, b, i, j);
          const double start = add ? before(i, j) : 0.0;
          return Element{c(i, j), sum.value + start, bound(sum.absolute + std::abs(start))};
        });
      };
      REQUIRE(verdict([&](double absolute) { return product_bound(k, absolute); }));
      // The bound grows with K, honest errors with its root: this notices precision that the bound forgives.
      const auto typical = verdict(
          [&](double absolute) { return kUnitRoundoff * std::sqrt(static_cast<double>(k)) * absolute; });
      REQUIRE(typical.rms_ratio < 4.0);
    }
  }
}

// Products of 2^-143 and more, the smallest float being 2^-149: their sums are subnormal, or become normal on the way; and
// zero where steps of such results are flushed.
template <class Product>
void check_subnormal_products(const Product& product) {
  const Index m = 9, n = 35;
  for (const double scale : {0x1p-71, 0x1p-66}) {
    for (const Index k : {1, 2, 63, 300}) {
      INFO("K " << k << " scale " << scale);
      const auto value = [&](Index i, Index j) {  // eight bits, as bfloat16 has
        return (1.0 + static_cast<double>(hash(i, j) % 128) / 128.0) * scale;
      };
      const Operand<typename Product::T> a(m, k, false, 0, 0, value),
          b(k, n, false, 0, 0, [&](Index i, Index j) { return value(i + 77, j) / 2; });
      GuardedMatrix c(m, n);
      multiply(product, 1, a, b, c);
      REQUIRE(compare(m * n, [&](Index e) {
        const Sum sum = exact_sum(a, b, e / n, e % n);
        if (product.subnormals() == kernels::Subnormals::flushed) return Element{c(e / n, e % n), 0};
        return Element{c(e / n, e % n), sum.value, product_bound(k, sum.absolute)};
      }));
    }
  }
}

// Bias, GELU, its slope, a factor and residual together, and C as its own residual: of one tile of rows and of many, of
// sums of nothing, of one K block and of several.
template <class Product>
void check_epilogues(const Product& product) {
  using kernels::Accumulate, kernels::GemmEpilogue;
  using Matrix = Operand<typename Product::T>;
  const Index n = 77;
  for (const Index m : {3, 31}) {
    for (const Index k : {0, 40, 300, 600}) {
      INFO("M " << m << " K " << k);
      const Matrix a(m, k, false, 0, 0, [](Index i, Index p) { return 0.1 * random_value(i, p); });
      const Matrix b(k, n, false, 0, 0, random_value);
      GuardedMatrix plain(m, n), c(m, n, 3, 1), slope(m, n, 4), bias(1, n), factor(m, n, 5, 1),
          residual(m, n, 7, 1);
      bias.fill([](Index, Index j) { return random_value(7, j); });
      factor.fill([](Index i, Index j) { return random_value(i + 900, j); });
      residual.fill([](Index i, Index j) { return random_value(i + 500, j); });
      multiply(product, 1, a, b, plain);
      GemmEpilogue epilogue;
      epilogue.bias = bias.data();
      epilogue.activation = kernels::Activation::gelu;
      epilogue.slope = slope.ref();
      epilogue.factor = factor.ref();
      epilogue.residual = residual.ref();
      multiply(product, 2, a, b, c, Accumulate::no, epilogue);
      REQUIRE((c.intact() && slope.intact()));
      REQUIRE(compare(m * n, [&](Index e) {
        const Index i = e / n, j = e % n;
        const double x = plain(i, j) + bias(0, j);
        const double y = std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x);
        const double gelu = 0.5 * x * (1.0 + std::tanh(y)) * factor(i, j);
        const double value = gelu + residual(i, j);
        // exp turns the relative error of 2y into an absolute one; then a few roundings and the final sum.
        return Element{c(i, j), value,
                       kUnitRoundoff * ((16.0 + 8.0 * std::abs(y)) * std::abs(gelu) + std::abs(value))};
      }));
      GuardedMatrix sum(m, n);
      sum.fill([](Index i, Index j) { return random_value(i + 500, j); });
      GemmEpilogue in_place;
      in_place.bias = bias.data();
      in_place.residual = sum.ref();
      multiply(product, 2, a, b, sum, Accumulate::no, in_place);
      REQUIRE(compare(m * n, [&](Index e) {
        const Index i = e / n, j = e % n;
        const Sum exact = exact_sum(a, b, i, j);
        const double value = exact.value + bias(0, j) + residual(i, j);
        const double size = exact.absolute + std::abs(bias(0, j)) + std::abs(residual(i, j));
        return Element{sum(i, j), value, product_bound(k + 2, size)};
      }));
    }
  }
}

// Every activation, its slope and a factor: the bits of the row kernels on a plain product.
template <class Product>
void check_activations(const Product& product) {
  using kernels::Accumulate, kernels::Activation;
  const Index m = 35, n = 77, k = 40;
  const Operand<typename Product::T> a(m, k, false, 0, 0,
                                       [](Index i, Index p) { return 0.1 * random_value(i, p); });
  const Operand<typename Product::T> b(k, n, false, 0, 0, random_value);
  GuardedMatrix plain(m, n), ones(m, n), factor(m, n, 5, 1), expected(m, n), expected_slope(m, n);
  GuardedMatrix c(m, n, 3, 1), slope(m, n, 2);
  ones.fill([](Index, Index) { return 1.0; });
  factor.fill([](Index i, Index j) { return random_value(i + 50, j); });
  multiply(product, 1, a, b, plain);
  kernels::Scratch scratch(kernels::rowwise_scratch_bytes(test_table(), 1, m, n));
  kernels::ExecContext ctx{test_table(), 1, scratch};
  const auto same = [&](const GuardedMatrix& got, const auto& wanted) {
    REQUIRE(got.intact());
    REQUIRE(compare(m * n, [&](Index e) { return Element{got(e / n, e % n), wanted(e / n, e % n)}; }));
  };
  for (const Activation act : {Activation::relu, Activation::gelu, Activation::silu, Activation::gelu_erf}) {
    INFO("activation " << static_cast<int>(act));
    kernels::activation_forward(ctx, act, expected.ref(), plain.ref());
    kernels::activation_backward(ctx, act, expected_slope.ref(), ones.ref(), plain.ref());
    multiply(product, 2, a, b, c, Accumulate::no, {.activation = act});
    same(c, expected);
    multiply(product, 2, a, b, c, Accumulate::no,
             {.activation = act, .slope = slope.ref(), .factor = factor.ref()});
    same(slope, expected_slope);
    same(c, [&](Index i, Index j) { return expected(i, j) * factor(i, j); });
  }
  multiply(product, 2, a, b, c, Accumulate::no, {.factor = factor.ref()});
  same(c, [&](Index i, Index j) { return plain(i, j) * factor(i, j); });
}

// The ContractErrors of gemm.hpp, one by one, and what is just allowed.
template <class Product>
void check_contract(const Product& product) {
  using namespace kernels;
  using T = typename Product::T;
  const std::size_t bytes = product.scratch_bytes(1, 8, 8, 8);
  Scratch scratch(bytes);
  ExecContext ctx{test_table(), 1, scratch};
  const std::vector<T> ones(64, from_double<T>(1.0));
  std::vector<float> c(64, 0.0f), wide(128, 0.0f);
  const ConstMatrix<T> a(ones.data(), 8, 8), b = a;
  const MatrixRef out(c.data(), 8, 8), other(wide.data(), 8, 8);
  const auto run = [&](const GemmEpilogue& epilogue) { product(ctx, a, b, out, Accumulate::no, epilogue); };
  REQUIRE_NOTHROW(run({}));

  REQUIRE_THROWS_AS(product(ctx, {ones.data(), 8, 7}, b, out, Accumulate::no, {}), ContractError);
  REQUIRE_THROWS_AS(product(ctx, {ones.data(), 7, 8}, b, out, Accumulate::no, {}), ContractError);
  REQUIRE_THROWS_AS(product(ctx, a, {ones.data(), 8, 7}, out, Accumulate::no, {}), ContractError);
  REQUIRE_THROWS_AS(product(ctx, a, {ones.data(), 7, 8}, out, Accumulate::no, {}), ContractError);

  GemmEpilogue gelu;
  gelu.activation = kernels::Activation::gelu;
  REQUIRE_THROWS_AS(product(ctx, a, b, out, Accumulate::yes, gelu), ContractError);
  gelu.residual = out;
  REQUIRE_THROWS_AS(run(gelu), ContractError);

  GemmEpilogue narrow;
  narrow.residual = ConstMatrixRef(wide.data(), 8, 7);
  REQUIRE_THROWS_AS(run(narrow), ContractError);
  narrow.residual = ConstMatrixRef(wide.data(), 8, 8, 1, 8);
  REQUIRE_THROWS_AS(run(narrow), ContractError);
  narrow.residual = {};
  narrow.slope = MatrixRef(wide.data(), 7, 8);
  REQUIRE_THROWS_AS(run(narrow), ContractError);

  std::vector<bf16> halves(64);
  GemmEpilogue scaled;
  scaled.factor = ConstMatrixRef(wide.data(), 8, 8);
  REQUIRE_NOTHROW(run(scaled));
  REQUIRE_THROWS_AS(product(ctx, a, b, out, Accumulate::yes, scaled), ContractError);
  scaled.factor = ConstMatrixRef(wide.data(), 8, 7);
  REQUIRE_THROWS_AS(run(scaled), ContractError);
  scaled.factor = ConstMatrixRef(wide.data(), 8, 8, 1, 8);
  REQUIRE_THROWS_AS(run(scaled), ContractError);
  scaled.factor = ConstMatrix<bf16>(halves.data(), 8, 8);  // of another type than C
  REQUIRE_THROWS_AS(run(scaled), ContractError);
  scaled.factor = ConstMatrixRef(c.data(), 8, 8);  // C itself
  REQUIRE_THROWS_AS(run(scaled), ContractError);

  // C as its own residual, but row by row elsewhere: each row of C would overwrite another row's residual.
  GemmEpilogue shifted;
  shifted.residual = ConstMatrixRef(wide.data(), 8, 8, 8);
  REQUIRE_THROWS_AS(product(ctx, a, b, {wide.data(), 8, 8, 16}, Accumulate::no, shifted), ContractError);
  shifted.residual = ConstMatrixRef(wide.data(), 1, 8, 8);  // one row has no stride
  REQUIRE_NOTHROW(product(ctx, {ones.data(), 1, 8}, b, {wide.data(), 1, 8, 16}, Accumulate::no, shifted));

  GemmEpilogue doubled;
  doubled.slope = out;
  REQUIRE_THROWS_AS(run(doubled), ContractError);
  doubled.slope = Matrix<bf16>(halves.data(), 8, 8);  // of another type than C
  REQUIRE_THROWS_AS(run(doubled), ContractError);
  doubled.slope = other;
  REQUIRE_NOTHROW(run(doubled));
  doubled.residual = other;
  REQUIRE_THROWS_AS(run(doubled), ContractError);
  doubled.residual = out;
  REQUIRE_THROWS_AS(run(doubled), ContractError);
  doubled.residual = {};
  doubled.factor = other;
  REQUIRE_THROWS_AS(run(doubled), ContractError);
  doubled.slope = {};
  doubled.residual = out;  // with a factor
  REQUIRE_THROWS_AS(run(doubled), ContractError);

  ctx.threads = 0;
  REQUIRE_THROWS_AS(run({}), ContractError);

  // Enough rows for every product to want scratch.
  const Index rows = 64;
  const std::vector<T> tall(static_cast<std::size_t>(rows * 8), from_double<T>(1.0));
  std::vector<float> tall_c(static_cast<std::size_t>(rows * 8));
  const std::size_t wanted = product.scratch_bytes(1, rows, 8, 8);
  Scratch enough(wanted), small(wanted - kCacheLineBytes);
  ExecContext rich{test_table(), 1, enough}, poor{test_table(), 1, small};
  const auto run_tall = [&](ExecContext& with) {
    product(with, {tall.data(), rows, 8}, b, {tall_c.data(), rows, 8}, Accumulate::no, {});
  };
  REQUIRE_NOTHROW(run_tall(rich));
  REQUIRE_THROWS_AS(run_tall(poor), ContractError);
}

// Sizes below 0, and overlapping rows of what is written: C and slope.
template <class Product>
void check_refused_extents(const Product& product) {
  using namespace kernels;
  using T = typename Product::T;
  const auto run = [&](ExecContext& ctx, auto a, auto b, auto c) {
    product(ctx, a, b, c, Accumulate::no, {});
  };
  check_negative_sizes<T, float>(run);
  check_overlapping_rows<T, float>(run);
  const std::vector<T> ones(64);
  std::vector<float> c(64), before(64);
  Scratch scratch(1 << 16);
  ExecContext ctx{test_table(), 1, scratch};
  GemmEpilogue epilogue;
  const auto with_stride = [&](Index stride) {
    epilogue.slope = MatrixRef(before.data(), 3, 5, stride);
    product(ctx, {ones.data(), 3, 4}, {ones.data(), 4, 5}, {c.data(), 3, 5}, Accumulate::no, epilogue);
  };
  for (const Index stride : {4, 0})
    REQUIRE_THROWS_WITH(with_stride(stride), Catch::Matchers::Contains("slope is 3x5 with row stride"));
  REQUIRE_NOTHROW(with_stride(5));
}

}  // namespace loglog::testing
