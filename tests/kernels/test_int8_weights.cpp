// Weights of int8 products in the form that files hold.
#include <algorithm>
#include <vector>

#include "base/check.hpp"
#include "kernels/gemm_operand.hpp"
#include "kernels/int8.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/isa.hpp"

using namespace loglog;
using namespace loglog::kernels;
using loglog::testing::compare;
using loglog::testing::Element;
using loglog::testing::GuardedMatrix;
using loglog::testing::random_value;

TEST_CASE("rows and columns of quantised weights come back, whatever the packing", "[int8]") {
  const Index k = 37, n = 45;
  GuardedMatrix w(k, n);
  w.fill([](Index p, Index j) { return random_value(p + 400, j) + 0.1; });
  const std::vector<Index> float_rows = {0, 19, 36};
  for (const Int8Scheme& scheme :
       {Int8Scheme{Int8Range::absmax, Int8Scope::vector}, Int8Scheme{Int8Range::zeropoint, Int8Scope::vector},
        Int8Scheme{Int8Range::absmax, Int8Scope::tensor},
        Int8Scheme{Int8Range::zeropoint, Int8Scope::tensor}}) {
    const QuantizedColumns columns = quantize_columns(test_table(), w.ref(), scheme, float_rows);
    const Int8Weights weights(test_table(), columns);
    REQUIRE(weights.bytes() == Int8Weights::bytes(test_table(), k, n, 3));
    const auto expected = [&](Index p, Index j) {
      const auto at = std::find(float_rows.begin(), float_rows.end(), p);
      if (at != float_rows.end()) return w(p, j);
      return static_cast<float>(columns.q[j * k + p] - columns.zero[j]) * columns.scale[j];
    };
    std::vector<float> column(k), row(n - 2);
    for (Index j = 0; j < n; ++j) {
      weights.copy_column(column.data(), j);
      REQUIRE(compare(k, [&](Index p) { return Element{column[p], expected(p, j)}; }));
    }
    for (Index p = 0; p < k; ++p) {
      weights.copy_row(row.data(), p, 2, n - 2);
      REQUIRE(compare(n - 2, [&](Index j) { return Element{row[j], expected(p, j + 2)}; }));
    }
  }
}

TEST_CASE("columns whose parts disagree are refused", "[int8]") {
  GuardedMatrix w(8, 5);
  w.fill(random_value);
  const QuantizedColumns good = quantize_columns(test_table(), w.ref(), {}, std::vector<Index>{2});
  const auto refused = [&](const auto& damage) {
    QuantizedColumns bad = good;
    damage(bad);
    REQUIRE_THROWS_AS(Int8Weights(test_table(), bad), ContractError);
  };
  REQUIRE_NOTHROW(Int8Weights(test_table(), good));
  refused([](QuantizedColumns& c) { c.q.pop_back(); });
  refused([](QuantizedColumns& c) { c.scale.pop_back(); });
  refused([](QuantizedColumns& c) { c.zero.push_back(0); });
  refused([](QuantizedColumns& c) { c.float_values.pop_back(); });
  refused([](QuantizedColumns& c) { c.float_rows = {8}; });
  refused([](QuantizedColumns& c) { c.rows = -8; });
}
