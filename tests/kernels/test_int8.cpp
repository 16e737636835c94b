#include "kernels/int8.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "base/check.hpp"
#include "kernels/gemm_operand.hpp"
#include "kernels/reference/int8.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/isa.hpp"

using namespace loglog;
using namespace loglog::kernels;
using loglog::testing::compare;
using loglog::testing::compare_equal;
using loglog::testing::Element;
using loglog::testing::GuardedMatrix;
using loglog::testing::GuardedMatrixOf;
using loglog::testing::hash;
using loglog::testing::kUnitRoundoff;
using loglog::testing::random_value;
using reference::is_outlier;
using reference::quantize_ref;
using reference::QuantizedLine;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr Int8Scheme kSchemes[] = {{Int8Range::absmax, Int8Scope::vector},
                                   {Int8Range::zeropoint, Int8Scope::vector},
                                   {Int8Range::absmax, Int8Scope::tensor},
                                   {Int8Range::zeropoint, Int8Scope::tensor}};

// Lines of a matrix, scaled as `scheme` says.
std::vector<QuantizedLine> quantize_lines(const Int8Scheme& scheme,
                                          const std::vector<std::vector<float>>& lines,
                                          const std::vector<float>& limits) {
  const auto widen = [&](ValueRange range, const std::vector<float>& line) {
    for (std::size_t j = 0; j < line.size(); ++j) {
      if (is_outlier(line[j], limits[j])) continue;
      range.low = std::min(range.low, line[j]);
      range.high = std::max(range.high, line[j]);
    }
    return range;
  };
  ValueRange whole = {};
  for (const auto& line : lines) whole = widen(whole, line);
  std::vector<QuantizedLine> quantized;
  for (const auto& line : lines) {
    const ValueRange range = scheme.scope == Int8Scope::tensor ? whole : widen({}, line);
    quantized.push_back(quantize_ref(scheme.range, line, limits, range.low, range.high));
  }
  return quantized;
}

std::vector<std::vector<float>> rows_of(const GuardedMatrix& x) {
  std::vector<std::vector<float>> rows(static_cast<std::size_t>(x.rows()));
  for (Index i = 0; i < x.rows(); ++i)
    for (Index j = 0; j < x.cols(); ++j) rows[i].push_back(x(i, j));
  return rows;
}
std::vector<std::vector<float>> columns_of(const GuardedMatrix& x) {
  std::vector<std::vector<float>> columns(static_cast<std::size_t>(x.cols()));
  for (Index j = 0; j < x.cols(); ++j)
    for (Index i = 0; i < x.rows(); ++i) columns[j].push_back(x(i, j));
  return columns;
}

// q and what belongs to it, with canaries around.
struct Quantized {
  GuardedMatrixOf<std::int8_t> q;
  GuardedMatrix scale;
  GuardedMatrixOf<std::int32_t> zero, sum;
  Quantized(Index rows, Index cols) : q(rows, cols, 3, 1), scale(1, rows), zero(1, rows), sum(1, rows) {}
  QuantizedRows ref() { return {q.ref(), scale.data(), zero.data(), sum.data()}; }
};

void check_quantized(const Int8Scheme& scheme, const GuardedMatrix& x, const std::vector<float>& limits) {
  const std::vector<QuantizedLine> expected = quantize_lines(scheme, rows_of(x), limits);
  for (const int threads : {1, 2, 3}) {
    Quantized out(x.rows(), x.cols());
    Scratch scratch(quantize_rows_scratch_bytes(threads));
    ExecContext ctx{test_table(), threads, scratch};
    quantize_rows(ctx, out.ref(), x.ref(), scheme, limits.data());
    REQUIRE(out.q.intact());
    REQUIRE(out.scale.intact());
    REQUIRE(out.zero.intact());
    REQUIRE(out.sum.intact());
    for (Index i = 0; i < x.rows(); ++i) {
      REQUIRE(out.scale(0, i) == expected[i].scale);
      REQUIRE(out.zero(0, i) == expected[i].zero);
      REQUIRE(out.sum(0, i) == expected[i].sum);
      for (Index j = 0; j < x.cols(); ++j) REQUIRE(int{out.q(i, j)} == int{expected[i].q[j]});
    }
  }
}

struct Result {
  OutlierCount outliers;
  std::vector<float> c;
};

Result multiply(int threads, const GuardedMatrix& x, const Int8Weights& w, const Int8Options& options,
                const GemmEpilogue& epilogue = {}) {
  GuardedMatrix c(x.rows(), w.cols(), 2, 1);
  Scratch scratch(gemm_int8_scratch_bytes(test_table(), threads, x.rows(), w.cols(), x.cols()));
  ExecContext ctx{test_table(), threads, scratch};
  const OutlierCount outliers = gemm_int8(ctx, x.ref(), w, c.ref(), options, epilogue);
  REQUIRE(c.intact());
  return {outliers, c.values()};
}

// Integers whose lines have the largest magnitude 127, so that scales are 1: every step is exact.
double byte_value(Index i, Index j) {
  return static_cast<double>(hash(i, j) % 255) - 127.0;
}

}  // namespace

TEST_CASE("rows are quantised as the reference does, bit for bit", "[int8]") {
  for (const Int8Scheme& scheme : kSchemes) {
    for (const Index cols : {0, 1, 7, 8, 15, 16, 17, 33, 200}) {
      INFO("zeropoint " << (scheme.range == Int8Range::zeropoint) << ", tensor "
                        << (scheme.scope == Int8Scope::tensor) << ", K " << cols);
      GuardedMatrix x(19, cols, 2, 1);
      x.fill(
          [](Index i, Index j) { return random_value(i, j) * std::exp2(static_cast<double>(i % 7) - 3.0); });
      std::vector<float> limits(static_cast<std::size_t>(cols), kInfinity);
      check_quantized(scheme, x, limits);
      for (Index j = 0; j < cols; ++j) limits[j] = j % 5 == 0 ? 0.0f : 2.0f;
      check_quantized(scheme, x, limits);
    }
  }
}

TEST_CASE("halves go to even; zeros, tiny and infinite rows, NaN and one-sided ranges have their values",
          "[int8]") {
  const double inf = kInfinity, nan = std::nan("");
  const std::vector<std::vector<double>> rows = {{127, 0.5, 1.5, 2.5, -0.5, -1.5, -126.5, 126.5},
                                                 {0, 0, 0, 0, 0, 0, 0, 0},
                                                 {1e-38, -1e-38, 0, 0, 1e-40, 0, 0, 0},
                                                 {inf, 3, -inf, nan, 1, -2, 0, 3e38},
                                                 {5, 1, 2, 3, 4, 5, 1, 2},
                                                 {-5, -1, -2, -3, -4, -5, -1, -2},
                                                 {3e38, -3e38, 1e38, 0, -1e38, 2e38, 3, -7},
                                                 {255, 0, 0.5, 1.5, 254.5, 127.5, 3, 4}};
  GuardedMatrix x(8, 8);
  x.fill([&](Index i, Index j) { return rows[i][j]; });
  const std::vector<float> limits(8, kInfinity);
  for (const Int8Scheme& scheme : kSchemes) check_quantized(scheme, x, limits);

  Quantized out(8, 8);
  Scratch scratch(quantize_rows_scratch_bytes(1));
  ExecContext ctx{test_table(), 1, scratch};
  quantize_rows(ctx, out.ref(), x.ref(), {}, limits.data());
  const int halves[] = {127, 0, 2, 2, 0, -2, -126, 126};
  for (Index j = 0; j < 8; ++j) {
    REQUIRE(int{out.q(0, j)} == halves[j]);
    REQUIRE(int{out.q(1, j)} == 0);
    REQUIRE(int{out.q(2, j)} == 0);
  }
  REQUIRE(out.scale(0, 1) == 0.0f);
  REQUIRE(int{out.q(3, 0)} == 0);    // infinity is an outlier
  REQUIRE(int{out.q(3, 7)} == 127);  // the largest finite element is not
  quantize_rows(ctx, out.ref(), x.ref(), {Int8Range::zeropoint, Int8Scope::vector}, limits.data());
  REQUIRE(out.zero(0, 4) == -128);  // 0 .. 5
  REQUIRE(out.zero(0, 5) == 127);   // -5 .. 0
}

TEST_CASE("what int8 stands for is within the bound of the header", "[int8]") {
  for (const Int8Scheme& scheme : kSchemes) {
    const Index rows = 11, cols = 100;
    GuardedMatrix x(rows, cols);
    x.fill([](Index i, Index j) { return random_value(i, j) + 0.2 * static_cast<double>(i); });
    Quantized out(rows, cols);
    Scratch scratch(quantize_rows_scratch_bytes(2));
    ExecContext ctx{test_table(), 2, scratch};
    const std::vector<float> limits(cols, kInfinity);
    quantize_rows(ctx, out.ref(), x.ref(), scheme, limits.data());
    const double steps = (scheme.range == Int8Range::absmax ? 0.5 : 1.0) + 0x1p-15;
    REQUIRE(compare(rows * cols, [&](Index e) {
      const Index i = e / cols, j = e % cols;
      const double scale = out.scale(0, i);
      return Element{scale * (out.q(i, j) - out.zero(0, i)), x(i, j), scale * steps};
    }));
  }
}

TEST_CASE("integers with outliers multiply exactly around every edge", "[int8]") {
  const GemmS8& kernel = *test_table().gemm_s8;
  const Index mr = kernel.mr, nr = kernel.nr;
  const Index k = 70;
  for (const Index m : {Index{0}, Index{1}, mr, mr + 1, Index{17}, Index{150}}) {
    for (const Index n : {Index{0}, Index{1}, nr - 1, nr, 2 * nr + 1}) {
      for (const bool whole_columns : {false, true}) {
        INFO("M " << m << " N " << n << " whole columns " << whole_columns);
        GuardedMatrix x(m, k, 1), w(k, n);
        // Outliers in four columns, of some rows only; the first inlier of every line is 127.
        const auto outlier = [](Index i, Index p) { return p % 20 == 9 && (i + p) % 3 == 0; };
        x.fill([&](Index i, Index p) {
          return p == 0 ? 127.0 : outlier(i, p) ? 300.0 + i : byte_value(i, p);
        });
        w.fill([](Index p, Index j) { return p == 0 ? -127.0 : byte_value(p + 50, j); });
        const std::vector<Index> float_rows = {3, 29};
        for (const bool keep_rows : {false, true}) {
          const Int8Weights weights(
              test_table(), w.ref(), {},
              keep_rows ? std::span<const Index>(float_rows) : std::span<const Index>());
          for (const int threads : {1, 2}) {
            const Result result =
                multiply(threads, x, weights, {.threshold = 200.0f, .whole_columns = whole_columns});
            const Index columns = m == 0 ? 0 : m == 1 ? 2 : keep_rows ? 3 : 4;
            REQUIRE(result.outliers.columns == columns);
            Index elements = 0;
            for (Index i = 0; i < m; ++i) {
              for (Index p = 0; p < k; ++p) {
                if (keep_rows && (p == 3 || p == 29)) continue;
                elements +=
                    outlier(i, p) || (whole_columns && p % 20 == 9 && (m > 1 || outlier(0, p))) ? 1 : 0;
              }
            }
            REQUIRE(result.outliers.elements == elements);
            if (m * n == 0) continue;
            REQUIRE(compare(m * n, [&](Index e) {
              double sum = 0.0;
              for (Index p = 0; p < k; ++p) sum += static_cast<double>(x(e / n, p)) * w(p, e % n);
              return Element{result.c[e], sum};
            }));
          }
        }
      }
    }
  }
}

TEST_CASE("random matrices of every scheme are within the bound of the header", "[int8]") {
  const Index m = 37, n = 45, k = 300;
  GuardedMatrix x(m, k), w(k, n);
  x.fill([](Index i, Index p) { return random_value(i, p) * (p % 61 == 7 && i % 2 == 0 ? 12.0 : 1.0); });
  w.fill([](Index p, Index j) { return random_value(p + 400, j) + 0.1; });
  for (const Int8Scheme& scheme : kSchemes) {
    for (const float threshold : {kInfinity, 6.0f, 0.01f}) {
      for (const bool whole_columns : {false, true}) {
        INFO("zeropoint " << (scheme.range == Int8Range::zeropoint) << ", tensor "
                          << (scheme.scope == Int8Scope::tensor) << ", threshold " << threshold
                          << ", whole columns " << whole_columns);
        const Int8Weights weights(test_table(), w.ref(), scheme);
        const Result result = multiply(2, x, weights, {scheme, threshold, whole_columns});
        std::vector<float> limits(k, threshold);
        std::vector<Index> columns;
        for (Index p = 0; p < k; ++p) {
          bool has = false;
          for (Index i = 0; i < m; ++i) has = has || is_outlier(x(i, p), threshold);
          if (has) columns.push_back(p);
          if (has && whole_columns) limits[p] = 0.0f;
        }
        REQUIRE(result.outliers.columns == static_cast<Index>(columns.size()));
        Index elements = 0;
        for (Index i = 0; i < m; ++i) {
          for (const Index p : columns) elements += is_outlier(x(i, p), limits[p]) ? 1 : 0;
        }
        REQUIRE(result.outliers.elements == elements);
        const auto x_lines = quantize_lines(scheme, rows_of(x), limits);
        const auto w_lines = quantize_lines(scheme, columns_of(w), std::vector<float>(k, kInfinity));
        REQUIRE(compare(m * n, [&](Index e) {
          const QuantizedLine &row = x_lines[e / n], &col = w_lines[e % n];
          const double scale = static_cast<double>(row.scale) * col.scale;
          const double inliers = scale * static_cast<double>(reference::quantized_dot_ref(row, col));
          double sum = inliers, outliers = 0.0;
          for (const Index p : columns) {
            if (!is_outlier(x(e / n, p), limits[p])) continue;
            const double product = x(e / n, p) * (static_cast<double>(col.scale) * (col.q[p] - col.zero));
            sum += product;
            outliers += std::abs(product);
          }
          const double terms = static_cast<double>(columns.size()) + 4.0;
          return Element{result.c[e], sum, kUnitRoundoff * terms * (std::abs(inliers) + outliers)};
        }));
      }
    }
  }
}

TEST_CASE("a row's bits depend neither on its batch nor on threads; whole columns do", "[int8]") {
  const Index m = 170, n = 70, k = 600;
  GuardedMatrix x(m, k), w(k, n);
  // So many columns with outliers that they are multiplied in parts, in one row of the batch or another.
  x.fill([](Index i, Index p) { return random_value(i, p) * (p % 5 == 2 && i % 90 == 1 ? 20.0 : 1.0); });
  w.fill([](Index p, Index j) { return random_value(p + 400, j); });
  for (const Int8Range range : {Int8Range::absmax, Int8Range::zeropoint}) {
    const Int8Scheme scheme = {range, Int8Scope::vector};
    const Int8Weights weights(test_table(), w.ref(), scheme);
    const Int8Options options = {scheme, 6.0f, false};
    const Result one = multiply(1, x, weights, options);
    REQUIRE(one.outliers.columns > 64);
    for (const int threads : {2, 3}) REQUIRE(compare_equal(multiply(threads, x, weights, options).c, one.c));
    for (const Index row : {0, 1, 90, 91, 169}) {
      GuardedMatrix alone(1, k);
      alone.fill([&](Index, Index p) { return x(row, p); });
      const Result result = multiply(1, alone, weights, options);
      REQUIRE(compare(n, [&](Index j) { return Element{result.c[j], one.c[row * n + j]}; }));
    }
    const Result whole = multiply(1, x, weights, {scheme, 6.0f, true});
    REQUIRE(whole.outliers.columns == one.outliers.columns);
    bool differs = false;
    for (Index j = 0; j < n; ++j) differs = differs || whole.c[j] != one.c[j];  // row 0 has no outlier itself
    REQUIRE(differs);
  }
}

TEST_CASE("an infinity or a NaN of x reaches its row and no other", "[int8]") {
  const Index m = 20, n = 33, k = 40;
  GuardedMatrix x(m, k), w(k, n);
  x.fill([](Index i, Index p) {
    return i == 3 && p == 5 ? std::nan("") : i == 7 && p == 5 ? HUGE_VAL : 1.0;
  });
  w.fill([](Index, Index) { return 2.0; });
  const Int8Weights weights(test_table(), w.ref(), {});
  const Result result = multiply(1, x, weights, {});
  REQUIRE(result.outliers.columns == 1);
  REQUIRE(compare(m * n, [&](Index e) {
    const double expected = e / n == 3 ? std::nan("") : e / n == 7 ? HUGE_VAL : 80.0;
    return Element{result.c[e], expected, std::isfinite(expected) ? 80.0 * 5.0 * kUnitRoundoff : 0.0};
  }));
}

TEST_CASE("epilogues follow the outliers; rows that are int8 already give the same bits", "[int8]") {
  const Index m = 21, n = 50, k = 90;
  GuardedMatrix x(m, k), w(k, n), bias(1, n), residual(m, n);
  x.fill([](Index i, Index p) { return p == 4 ? 9.0 : random_value(i, p); });
  w.fill([](Index p, Index j) { return random_value(p + 400, j); });
  bias.fill([](Index, Index j) { return random_value(7, j); });
  residual.fill([](Index i, Index j) { return random_value(i + 90, j); });
  const Int8Scheme scheme = {Int8Range::zeropoint, Int8Scope::vector};
  const Int8Weights weights(test_table(), w.ref(), scheme);
  GemmEpilogue epilogue;
  epilogue.bias = bias.data();
  epilogue.residual = residual.ref();
  const Result plain = multiply(1, x, weights, {scheme, 6.0f, false});
  const Result full = multiply(2, x, weights, {scheme, 6.0f, false}, epilogue);
  REQUIRE(compare(m * n, [&](Index e) {
    return Element{full.c[e], plain.c[e] + bias(0, e % n) + residual(e / n, e % n)};
  }));

  Quantized q(m, k);
  Scratch scratch(gemm_int8_scratch_bytes(test_table(), 2, m, n, k));
  ExecContext ctx{test_table(), 2, scratch};
  const std::vector<float> limits(k, kInfinity);
  quantize_rows(ctx, q.ref(), x.ref(), scheme, limits.data());
  GuardedMatrix c(m, n);
  gemm_int8(ctx, q.ref(), weights, c.ref());
  REQUIRE(compare_equal(c.values(), multiply(1, x, weights, {scheme, kInfinity, false}).c));
}

TEST_CASE("a broken contract of int8 products is refused", "[int8]") {
  GuardedMatrix x(8, 8), w(8, 8), c(8, 8);
  x.fill(random_value);
  w.fill(random_value);
  const Int8Weights weights(test_table(), w.ref(), {});
  const std::size_t bytes = gemm_int8_scratch_bytes(test_table(), 1, 8, 8, 8);
  Scratch scratch(bytes), small(bytes - kCacheLineBytes);
  ExecContext ctx{test_table(), 1, scratch}, poor{test_table(), 1, small};
  REQUIRE_NOTHROW(gemm_int8(ctx, x.ref(), weights, c.ref()));
  REQUIRE_THROWS_AS(gemm_int8(poor, x.ref(), weights, c.ref()), ContractError);
  REQUIRE_THROWS_AS(gemm_int8(ctx, {x.data(), 8, 7}, weights, c.ref()), ContractError);
  REQUIRE_THROWS_AS(gemm_int8(ctx, {x.data(), 7, 8}, weights, c.ref()), ContractError);
  REQUIRE_THROWS_AS(gemm_int8(ctx, x.ref(), weights, c.ref().columns(0, 7)), ContractError);
  REQUIRE_THROWS_AS(gemm_int8(ctx, ConstMatrixRef(x.data(), 8, 8, 1, 8), weights, c.ref()), ContractError);
  for (const float threshold : {0.0f, -1.0f, std::nanf("")})
    REQUIRE_THROWS_AS(gemm_int8(ctx, x.ref(), weights, c.ref(), {.threshold = threshold}), ContractError);
  GemmEpilogue own;
  own.residual = c.ref();
  REQUIRE_THROWS_AS(gemm_int8(ctx, x.ref(), weights, c.ref(), {}, own), ContractError);
  ctx.threads = 0;
  REQUIRE_THROWS_AS(gemm_int8(ctx, x.ref(), weights, c.ref()), ContractError);

  const auto make = [&](const std::vector<Index>& rows) {
    return Int8Weights(test_table(), w.ref(), {}, rows);
  };
  REQUIRE_NOTHROW(make({0, 7}));
  REQUIRE_THROWS_AS(make({8}), ContractError);
  REQUIRE_THROWS_AS(make({-1}), ContractError);
  REQUIRE_THROWS_AS(make({3, 3}), ContractError);
  REQUIRE_THROWS_AS(make({4, 3}), ContractError);
  const Int8Weights mixed = make({2});
  Quantized q(8, 8);
  q.q.fill([](Index, Index) { return 1.0; });
  ctx.threads = 1;
  REQUIRE_THROWS_AS(gemm_int8(ctx, q.ref(), mixed, c.ref()), ContractError);
  w(3, 4) = kInfinity;
  REQUIRE_THROWS_AS(make({}), ContractError);

  const std::vector<float> deep(kInt8MaxDepth + 1, 1.0f);
  REQUIRE_THROWS_AS(Int8Weights(test_table(), {deep.data(), kInt8MaxDepth + 1, 1}, {}), ContractError);
  REQUIRE_NOTHROW(Int8Weights(test_table(), {deep.data(), kInt8MaxDepth, 1}, {}));
}

TEST_CASE("sizes below 0 are refused by quantised products", "[int8]") {
  GuardedMatrix x(8, 8), w(8, 8), c(8, 8);
  x.fill(random_value);
  w.fill(random_value);
  Quantized q(8, 8);
  const Int8Weights weights(test_table(), ConstMatrixRef(w.data(), 4, 4, 8), {});
  Scratch scratch(gemm_int8_scratch_bytes(test_table(), 2, 8, 8, 8));
  const std::vector<float> limits(8, kInfinity);
  using Catch::Matchers::Contains;
  for (const int threads : {1, 2}) {
    ExecContext ctx{test_table(), threads, scratch};
    REQUIRE_THROWS_WITH(gemm_int8(ctx, {x.data(), -3, 4}, weights, {c.data(), -3, 4}), Contains("a is -3x4"));
    QuantizedRows rows = q.ref();
    rows.q = {q.q.data(), -3, 4};
    REQUIRE_THROWS_WITH(gemm_int8(ctx, rows, weights, {c.data(), -3, 4}), Contains("a is -3x4"));
    for (const auto scope : {Int8Scope::vector, Int8Scope::tensor}) {
      const Int8Scheme scheme = {Int8Range::absmax, scope};
      REQUIRE_THROWS_WITH(quantize_rows(ctx, rows, {x.data(), -3, 4}, scheme, limits.data()),
                          Contains("x is -3x4"));
      rows.q = {q.q.data(), 3, -4};
      REQUIRE_THROWS_WITH(quantize_rows(ctx, rows, {x.data(), 3, -4}, scheme, limits.data()),
                          Contains("x is 3x-4"));
      rows.q = {q.q.data(), -3, 4};
    }
  }
  REQUIRE_THROWS_WITH(Int8Weights(test_table(), {w.data(), 4, -4}, {}), Contains("w is 4x-4"));
  REQUIRE_THROWS_WITH(Int8Weights(test_table(), {w.data(), -4, 4}, {}), Contains("w is -4x4"));
  REQUIRE_THROWS_WITH(Int8Weights(test_table(), {w.data(), -4, -4}, {}), Contains("w is -4x-4"));
}

TEST_CASE("overlapping rows and zeros beyond int8 are refused by quantised products", "[int8]") {
  GuardedMatrix x(8, 8), w(8, 8), c(8, 8);
  x.fill(random_value);
  w.fill(random_value);
  const Int8Weights weights(test_table(), w.ref(), {});
  Scratch scratch(gemm_int8_scratch_bytes(test_table(), 1, 8, 8, 8));
  ExecContext ctx{test_table(), 1, scratch};
  const std::vector<float> limits(8, kInfinity);
  const MatrixRef overlapping(c.data(), 8, 8, 7);
  Quantized q(8, 8);
  QuantizedRows rows = q.ref();
  quantize_rows(ctx, rows, x.ref(), {}, limits.data());
  using Catch::Matchers::Contains;
  REQUIRE_THROWS_WITH(gemm_int8(ctx, x.ref(), weights, overlapping), Contains("c is 8x8 with row stride 7"));
  REQUIRE_THROWS_WITH(gemm_int8(ctx, rows, weights, overlapping), Contains("c is 8x8 with row stride 7"));
  for (const std::int32_t zero : {-129, 128}) {
    q.zero(0, 7) = zero;
    REQUIRE_THROWS_WITH(gemm_int8(ctx, rows, weights, c.ref()),
                        Contains("zero of row 7 is " + std::to_string(zero)));
  }
  for (const std::int32_t zero : {-128, 127}) {
    q.zero(0, 7) = zero;
    REQUIRE_NOTHROW(gemm_int8(ctx, rows, weights, c.ref()));
  }
  rows.q.row_stride = 7;
  REQUIRE_THROWS_WITH(quantize_rows(ctx, rows, x.ref(), {}, limits.data()),
                      Contains("q is 8x8 with row stride 7"));
}

TEST_CASE("a product whose sum times the scale of the row overflows is infinite, even if its column is small",
          "[int8]") {
  // |sum| row_scale = 4 * 127 * 127 * x / 127 = 508 x, the largest float is 508 * 6.698e35; the product is 4e-30 x.
  GuardedMatrix x(1, 4), w(4, 1);
  w.fill([](Index, Index) { return 1e-30; });
  const Int8Weights weights(test_table(), w.ref(), {});
  const auto product = [&](double value) {
    x.fill([&](Index, Index) { return value; });
    return multiply(1, x, weights, {}).c[0];
  };
  REQUIRE(compare(1, [&](Index) { return Element{product(6.69e35), 4 * 6.69e5, 4 * 6.69e5 * 0x1p-21}; }));
  for (const double value : {6.71e35, 1e38}) {
    REQUIRE(product(value) == kInfinity);
    REQUIRE(product(-value) == -kInfinity);
  }
}
