// Adafactor against its formulas in float64, three steps of matrices and of a vector.
#include "kernels/rowwise/adafactor.hpp"

#include <cmath>

#include "base/check.hpp"
#include "kernels/rowwise/rowwise_cases.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

TEST_CASE("Adafactor follows algorithm 4 of its paper", "[adafactor]") {
  for (const auto& shape : {std::pair<Index, Index>{1, 33}, {70, 17}, {5, 200}, {2, 1}}) {
    const Index rows = shape.first, cols = shape.second;
    CAPTURE(rows, cols);
    GuardedMatrix param(rows, cols, 3), grad(rows, cols, 1), row(1, rows), col(1, cols);
    fill_normal(param, 1);
    row.fill([](Index, Index) { return 0; }), col.fill([](Index, Index) { return 0; });
    std::vector<double> x = normal_values(0, 0), r(rows), c(cols);
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < cols; ++j) x.push_back(param(i, j));
    for (int number = 1; number <= 3; ++number) {
      fill_normal(grad, 10 + number, number == 2 ? 4 : 1);
      AdafactorStep step{
          .lr = 0.01f, .clip = number == 3 ? 0.5f : 1.0f, .weight_decay = 0.1f, .grad_scale = 0.25f};
      step.beta2 = static_cast<float>(1 - std::pow(number, -0.8));
      run(2, rows, cols,
          [&](ExecContext& ctx) { adafactor(ctx, param.ref(), grad.ref(), row.data(), col.data(), step); });
      REQUIRE((param.intact() && row.intact() && col.intact()));

      const double beta2 = double(step.beta2);
      std::vector<double> row_mean(rows), col_mean(cols);
      const auto g = [&](Index i, Index j) { return double(grad(i, j)) * 0.25; };
      for (Index i = 0; i < rows; ++i) {
        for (Index j = 0; j < cols; ++j) {
          row_mean[i] += (g(i, j) * g(i, j) + 1e-30) / double(cols);
          col_mean[j] += (g(i, j) * g(i, j) + 1e-30) / double(rows);
        }
      }
      double mean = 0, squares = 0;
      for (Index i = 0; i < rows; ++i)
        mean += (r[i] = beta2 * r[i] + (1 - beta2) * row_mean[i]) / double(rows);
      for (Index j = 0; j < cols; ++j) c[j] = beta2 * c[j] + (1 - beta2) * col_mean[j];
      const auto raw = [&](Index i, Index j) {
        return g(i, j) / std::sqrt(rows > 1 ? r[i] * c[j] / mean : c[j]);
      };
      for (Index e = 0; e < rows * cols; ++e) squares += std::pow(raw(e / cols, e % cols), 2);
      const double shrink = std::max(1.0, std::sqrt(squares / double(rows * cols)) / double(step.clip));
      std::vector<double> bounds;
      for (Index e = 0; e < rows * cols; ++e) {
        const double update = raw(e / cols, e % cols) / shrink;
        bounds.push_back(0.01 * (double(rows + cols + 20) * std::abs(update) + 0.3 * std::abs(x[e])) +
                         2 * std::abs(x[e]));
        x[e] -= 0.01 * (update + 0.1 * x[e]);
      }
      REQUIRE(compare(rows * cols, [&](Index e) {
        return Element{param(e / cols, e % cols), x[e], number * kUnitRoundoff * bounds[e]};
      }));
    }
  }
}

TEST_CASE("Adafactor: no bit depends on threads; broken contracts", "[adafactor]") {
  REQUIRE(same_bits_for_threads([](int threads) {
    GuardedMatrix param(kCutRows, kCutCols), grad(kCutRows, kCutCols), row(1, kCutRows), col(1, kCutCols);
    fill_normal(param, 1), fill_normal(grad, 2);
    row.fill([](Index, Index) { return 1; }), col.fill([](Index, Index) { return 1; });
    run(threads, kCutRows, kCutCols, [&](ExecContext& ctx) {
      adafactor(ctx, param.ref(), grad.ref(), row.data(), col.data(), {.lr = 0.1f, .beta2 = 0.5f});
    });
    std::vector<float> all;
    for (const auto* x : {&param, &row, &col}) append(all, *x);
    return all;
  }));
  GuardedMatrix x(2, 4), narrow(2, 3), row(1, 2), col(1, 4);
  run(1, 2, 4, [&](ExecContext& ctx) {
    REQUIRE_THROWS_AS(adafactor(ctx, x.ref(), narrow.ref(), row.data(), col.data(), {}), ContractError);
    REQUIRE_THROWS_AS(adafactor(ctx, x.ref(), x.ref(), nullptr, col.data(), {}), ContractError);
    REQUIRE_THROWS_AS(adafactor(ctx, x.ref(), x.ref(), row.data(), nullptr, {}), ContractError);
    REQUIRE_THROWS_AS(
        adafactor(ctx, MatrixRef(x.data(), 0, 4), MatrixRef(x.data(), 0, 4), row.data(), col.data(), {}),
        ContractError);
  });
}
