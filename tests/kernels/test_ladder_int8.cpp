// Every rung of the int8 ladder on one ISA: exact where all scales are 1, within the bound of its header elsewhere, and what
// each is there for: finer scales and separate outliers make the error smaller.
#include <cmath>
#include <map>
#include <string>

#include "kernels/gemm_operand.hpp"
#include "kernels/ladder/int8.hpp"
#include "support/catch.hpp"
#include "support/isa.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::kernels::ladder;
using namespace loglog::testing;

namespace {

void run(const Int8Rung& rung, int threads, const Operand<float>& a, const Operand<float>& b,
         GuardedMatrix& c) {
  const Index m = a.ref().rows, n = b.ref().cols, k = a.ref().cols;
  Scratch scratch(int8_scratch(test_table(), threads, m, n, k));
  ExecContext ctx{test_table(), threads, scratch};
  if (rung.run_with_weights != nullptr) {
    rung.run_with_weights(ctx, m, a.ref().data, Int8Weights(test_table(), b.ref(), {}), c.data());
  } else {
    rung.run(ctx, m, n, k, a.ref().data, b.ref().data, c.data());
  }
  REQUIRE(c.intact());
}

// -127 .. 127 with 127 in every row of A and every column of B, so that all scales are 1; none is small but 0, so that what
// is left beside the outliers (above 6) is nothing.
Operand<float> whole_numbers(Index rows, Index cols, bool first_column) {
  return {rows, cols, false, 0, 0, [=](Index i, Index j) {
            const double value = (first_column ? j : i) == 0 ? 127.0 : double(hash(i, j) % 255) - 127.0;
            return std::abs(value) > 6 ? value : 0.0;
          }};
}

double largest(const Operand<float>& x) {
  double most = 0;
  for (Index i = 0; i < x.ref().rows; ++i)
    for (Index j = 0; j < x.ref().cols; ++j) most = std::max(most, std::abs(x(i, j)));
  return most;
}

}  // namespace

TEST_CASE("int8 rungs are exact on whole numbers", "[ladder]") {
  for (const Int8Rung& rung : int8_rungs(test_table())) {
    for (const Index m : {0, 1, 7, 15})
      for (const Index n : {0, 1, 31, 33})
        for (const Index k : {1, 3, 65}) {
          INFO(rung.info.name << " M " << m << " N " << n << " K " << k);
          const Operand<float> a = whole_numbers(m, k, true), b = whole_numbers(k, n, false);
          for (const int threads : {1, 3}) {
            GuardedMatrix c(m, n);
            run(rung, threads, a, b, c);
            if (m * n == 0) continue;
            REQUIRE(compare(m * n, [&](Index e) {
              return Element{c(e / n, e % n), exact_sum(a, b, e / n, e % n).value};
            }));
          }
        }
  }
}

TEST_CASE("int8 rungs of nothing write zeros", "[ladder]") {
  for (const Int8Rung& rung : int8_rungs(test_table())) {
    INFO(rung.info.name);
    const Operand<float> a = whole_numbers(3, 0, true), b = whole_numbers(0, 5, false);
    GuardedMatrix c(3, 5);
    run(rung, 1, a, b, c);
    REQUIRE(compare(15, [&](Index e) { return Element{c(e / 5, e % 5), 0}; }));
  }
}

TEST_CASE("int8 rungs keep their bound with any number of threads", "[ladder]") {
  const Index m = 20, n = 37, k = 200;
  const Operand<float> a(m, k, false, 0, 0, [](Index i, Index p) { return 5 + random_value(i, p); });
  const Operand<float> b(k, n, false, 0, 0, [](Index p, Index j) { return 2 + random_value(p, j); });
  const double scale_a = largest(a) / 127, scale_b = largest(b) / 127;
  for (const Int8Rung& rung : int8_rungs(test_table())) {
    INFO(rung.info.name);
    GuardedMatrix c(m, n), again(m, n);
    run(rung, 1, a, b, c);
    run(rung, 3, a, b, again);
    REQUIRE(compare_equal(again.values(), c.values()));
    REQUIRE(compare(m * n, [&](Index e) {
      const Index i = e / n, j = e % n;
      double exact = 0, bound = 0;
      for (Index p = 0; p < k; ++p) {
        exact += a(i, p) * b(p, j);
        bound += (std::abs(a(i, p)) * scale_b + std::abs(b(p, j)) * scale_a + scale_a * scale_b / 2) / 2;
      }
      return Element{c(i, j), exact, bound * (1 + double(k + 6) * 0x1p-16)};
    }));
  }
}

TEST_CASE("finer scales and separate outliers reduce the error", "[ladder]") {
  const Index m = 20, n = 37, k = 200;
  // Rows of different size, and a feature that is larger than 6 in all of them.
  const Operand<float> a(m, k, false, 0, 0, [](Index i, Index p) {
    return p == 77 ? 30 + random_value(i, p) : random_value(i, p) / (1 + double(i % 4));
  });
  const Operand<float> b(k, n, false, 0, 0,
                         [](Index p, Index j) { return random_value(p, j) / (1 + double(j % 3)); });
  std::map<std::string, double> error;
  for (const Int8Rung& rung : int8_rungs(test_table())) {
    GuardedMatrix c(m, n);
    run(rung, 1, a, b, c);
    double squares = 0;
    for (Index i = 0; i < m; ++i)
      for (Index j = 0; j < n; ++j) squares += std::pow(c(i, j) - exact_sum(a, b, i, j).value, 2);
    error[rung.info.name] = std::sqrt(squares);
  }
  REQUIRE(error["vector-wise"] < error["absmax"]);
  for (const char* apart : {"outliers", "library"}) REQUIRE(error[apart] < error["vector-wise"] / 4);
  for (const char* same : {"widening", "native", "threads"}) REQUIRE(error[same] == error["vector-wise"]);
}
