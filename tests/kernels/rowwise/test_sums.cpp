// Additions, sums over rows and of squares of one ISA: exact on whole numbers, bounded on others.
#include "kernels/rowwise/sums.hpp"

#include <cmath>

#include "base/check.hpp"
#include "kernels/rowwise/rowwise_cases.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

TEST_CASE("additions and column sums of whole numbers are exact, in place too") {
  for (const Index cols : kColumns) {
    const Index rows = 131;  // more than two chunks of rows
    CAPTURE(cols);
    GuardedMatrix x(rows, cols, 3), y(rows, cols, 1), sums = guarded_vector(cols), out(rows, cols, 2),
                                                      in_place(rows, cols);
    fill_integer(x, 1), fill_integer(y, 2);
    copy_of(in_place, x);
    sums.fill([](auto, auto) { return 1; });
    run(2, rows, cols, [&](ExecContext& ctx) {
      column_sums(ctx, sums.data(), x.ref());
      add(ctx, out.ref(), x.ref(), y.ref());
      add(ctx, in_place.ref(), in_place.ref(), y.ref());
    });
    REQUIRE((sums.intact() && out.intact()));
    std::vector<double> sum(cols, 1), added;
    for (Index r = 0; r < rows; ++r)
      for (Index j = 0; j < cols; ++j) sum[j] += x(r, j), added.push_back(double(x(r, j)) + y(r, j));
    REQUIRE(compare_equal(sums.values(), sum));
    REQUIRE(compare_equal(out.values(), added));
    REQUIRE(compare_equal(in_place.values(), added));
  }
}

TEST_CASE("zero writes every element and no other") {
  for (const Index n : {0, 1, 7, 1000}) {
    for (const int threads : {1, 3, 16}) {
      GuardedMatrix x = guarded_vector(n);
      x.fill([](auto, auto) { return 3; });
      run(threads, 1, n, [&](ExecContext& ctx) { zero(ctx, x.data(), n); });
      REQUIRE(x.intact());
      for (Index i = 0; i < n; ++i) REQUIRE(x(0, i) == 0.0f);
    }
  }
}

TEST_CASE("column sums are within their bound") {
  const Index rows = 300, cols = 37;
  GuardedMatrix x(rows, cols, 3), sums = guarded_vector(cols);
  fill_normal(x, 1);
  sums.fill([](auto, auto) { return 0; });
  run(1, rows, cols, [&](ExecContext& ctx) { column_sums(ctx, sums.data(), x.ref()); });
  REQUIRE(compare(cols, [&](Index j) {
    double sum = 0, absolute = 0;
    for (Index r = 0; r < rows; ++r) sum += x(r, j), absolute += std::abs(double(x(r, j)));
    return Element{sums(0, j), sum, double(rows + 1) * u * absolute};
  }));
}

TEST_CASE("sum of squares is exact in float64 and passes on what is not finite") {
  for (const Index n : {0, 1, 15, 16, 17, 40000}) {
    GuardedMatrix x = guarded_vector(n);
    fill_integer(x, 1);
    double expected = 0;
    for (Index i = 0; i < n; ++i) expected += double(x(0, i)) * x(0, i);
    for (const int threads : {1, 3}) {
      run(threads, 1, n, [&](ExecContext& ctx) { REQUIRE(sum_of_squares(ctx, x.data(), n) == expected); });
    }
    if (n == 0) continue;
    x(0, n - 1) = 1e30f;
    run(1, 1, n, [&](ExecContext& ctx) { REQUIRE(sum_of_squares(ctx, x.data(), n) > 9e59); });
    x(0, n / 2) = std::nanf("");
    run(1, 1, n, [&](ExecContext& ctx) { REQUIRE(std::isnan(sum_of_squares(ctx, x.data(), n))); });
  }
}

TEST_CASE("sums: the same bits streamed, and with any number of threads") {
  REQUIRE(same_bits_streamed(3, [&](GuardedMatrix& out, Stores stores) {
    GuardedMatrix a(3, out.cols(), 1), b(3, out.cols(), 2);
    fill_normal(a, 1), fill_normal(b, 2);
    test_table().rowwise->add(out.ref(), a.ref(), b.ref(), stores);
  }));
  REQUIRE(same_bits_for_threads([](int threads) {
    GuardedMatrix a(kCutRows, kCutCols), b(kCutRows, kCutCols), sums = guarded_vector(kCutCols);
    fill_normal(a, 1), fill_normal(b, 2), fill_normal(sums, 3);
    double squares = 0;
    run(threads, kCutRows, kCutCols, [&](ExecContext& ctx) {
      squares = sum_of_squares(ctx, a.data(), kCutRows * kCutCols);
      column_sums(ctx, sums.data(), a.ref());
      add(ctx, b.ref(), a.ref(), b.ref());
    });
    std::vector<float> all = b.values();
    append(all, sums);
    const auto high = static_cast<float>(squares);
    all.push_back(high), all.push_back(static_cast<float>(squares - high));
    return all;
  }));
}

TEST_CASE("sums: nothing to do, and broken contracts") {
  GuardedMatrix x(2, 4), narrow(2, 3), sums = guarded_vector(4);
  run(1, 2, 4, [&](ExecContext& ctx) {
    column_sums(ctx, sums.data(), ConstMatrixRef(x.data(), 0, 4));
    add(ctx, MatrixRef(x.data(), 3, 0), ConstMatrixRef(x.data(), 3, 0), ConstMatrixRef(x.data(), 3, 0));
    REQUIRE((x.intact() && sums.intact()));
    REQUIRE_THROWS_AS(add(ctx, x.ref(), narrow.ref(), x.ref()), ContractError);
    for (const int threads : {0, -1}) {
      ExecContext wrong{test_table(), threads, ctx.scratch};
      REQUIRE_THROWS_AS(add(wrong, x.ref(), x.ref(), x.ref()), ContractError);
      REQUIRE_THROWS_AS(column_sums(wrong, sums.data(), x.ref()), ContractError);
      REQUIRE_THROWS_AS(sum_of_squares(wrong, x.data(), 0), ContractError);
      REQUIRE_THROWS_AS(zero(wrong, x.data(), 0), ContractError);
    }
  });
}
