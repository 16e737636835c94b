// What the tests of row kernels share.
#pragma once
#include <vector>

#include "kernels/exec.hpp"
#include "kernels/rowwise/sums.hpp"
#include "kernels/rowwise/token.hpp"
#include "kernels/table.hpp"
#include "support/compare.hpp"
#include "support/isa.hpp"
#include "support/random_inputs.hpp"

namespace loglog::testing {

using kernels::ExecContext;
using kernels::Scratch;
using kernels::Stores;
using kernels::Token;

inline constexpr double u = kUnitRoundoff;
inline const Index kColumns[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65};
// Enough elements for 13 pieces of for_pieces, of which 2 threads take 8 and 3 take 12.
inline constexpr Index kCutRows = 811, kCutCols = 275;

// Runs body(ctx) with scratch for (rows, cols).
template <class Body>
void run(int threads, Index rows, Index cols, Body&& body) {
  Scratch scratch(kernels::rowwise_scratch_bytes(test_table(), threads, rows, cols));
  ExecContext ctx{test_table(), threads, scratch};
  body(ctx);
}

inline std::vector<double> row_values(const GuardedMatrix& x, Index r) {
  std::vector<double> values;
  for (Index j = 0; j < x.cols(); ++j) values.push_back(x(r, j));
  return values;
}

inline std::vector<Token> tokens_below(Index n, Index vocab) {
  const Rng rng(4, 4);
  std::vector<Token> tokens;
  for (Index i = 0; i < n; ++i) tokens.push_back(static_cast<Token>(rng.below(i, vocab)));
  return tokens;
}

inline GuardedMatrix& copy_of(GuardedMatrix& to, const GuardedMatrix& from) {
  return to.fill([&](Index i, Index j) { return from(i, j); });
}

// Shapes whose rows begin on the boundary of every ISA's vector, where streamed stores are used, and two where they are
// not: by the row, and by the matrix. call(out, stores) writes `out`, which must not depend on `stores`.
template <class T = float, class Call>
Verdict same_bits_streamed(Index rows, Call&& call) {
  struct Layout {
    Index cols, gap, offset;
  };
  Verdict verdict{true, "equal"};
  for (const Layout s : {Layout{64, 0, 0}, {64, 64, 0}, {80, 16, 0}, {65, 63, 63}, {65, 0, 0}, {64, 0, 1}}) {
    GuardedMatrixOf<T> cached(rows, s.cols, s.gap, s.offset), streamed(rows, s.cols, s.gap, s.offset);
    call(cached, Stores::cached);
    call(streamed, Stores::streamed);
    const auto size = static_cast<std::int64_t>(cached.values().size());
    verdict = compare(size, [a = streamed.values(), b = cached.values()](std::int64_t i) {
      return Element{to_double(a[i]), to_double(b[i])};
    });
    if (!verdict.passed) return verdict;
    if (!streamed.intact()) return {false, "written outside the matrix"};
  }
  return verdict;
}

// outputs(threads) -> all results as floats, from inputs that do not depend on threads.
template <class Outputs>
Verdict same_bits_for_threads(Outputs&& outputs) {
  const std::vector<float> one = outputs(1);
  Verdict verdict;
  for (const int threads : {2, 3, 5}) {
    verdict = compare_equal(outputs(threads), one);
    if (!verdict.passed) break;
  }
  return verdict;
}

// The derivative along a random direction agrees too: sums what single elements hide.
template <class Bound>
bool agrees_along(double exact, const std::vector<double>& gradient, const std::vector<double>& direction,
                  Bound&& bound) {
  double along = 0, along_bound = 0;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    along += gradient[i] * direction[i];
    along_bound += bound(static_cast<Index>(i)) * std::abs(direction[i]);
  }
  return std::abs(exact - along) <= along_bound;
}

inline void append(std::vector<float>& all, const GuardedMatrix& x) {
  const auto values = x.values();
  all.insert(all.end(), values.begin(), values.end());
}

}  // namespace loglog::testing
