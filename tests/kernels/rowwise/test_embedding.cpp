// Embeddings of one ISA: exact on whole numbers.
#include "kernels/rowwise/embedding.hpp"

#include "base/check.hpp"
#include "kernels/rowwise/rowwise_cases.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

TEST_CASE("embeddings of whole numbers are exact, forward and backward") {
  for (const Index cols : kColumns) {
    const Index rows = 131, vocab = 7, time = 10;
    CAPTURE(cols);
    GuardedMatrix x(rows, cols, 3), table(vocab, cols, 1), positions(time, cols, 2), out(rows, cols, 1),
        d_table(vocab, cols, 1), d_positions(time, cols, 1);
    fill_integer(x, 1), fill_integer(table, 2), fill_integer(positions, 3);
    d_table.fill([](auto, auto) { return 1; });
    d_positions.fill([](auto, auto) { return 1; });
    const auto tokens = tokens_below(rows, vocab);
    run(2, rows, cols, [&](ExecContext& ctx) {
      embedding_forward(ctx, out.ref(), table.ref(), positions.ref(), tokens.data(), time);
      embedding_backward(ctx, d_table.ref(), d_positions.ref(), x.ref(), tokens.data(), time);
    });
    REQUIRE((out.intact() && d_table.intact() && d_positions.intact()));
    std::vector<double> token_sum(vocab * cols, 1), position_sum(time * cols, 1), embedded;
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < cols; ++j) {
        token_sum[tokens[r] * cols + j] += x(r, j);
        position_sum[r % time * cols + j] += x(r, j);
        embedded.push_back(table(tokens[r], j) + positions(r % time, j));
      }
    }
    REQUIRE(compare_equal(d_table.values(), token_sum));
    REQUIRE(compare_equal(d_positions.values(), position_sum));
    REQUIRE(compare_equal(out.values(), embedded));
  }
}

TEST_CASE("embeddings: no bit depends on threads") {
  REQUIRE(same_bits_for_threads([](int threads) {
    const Index rows = kCutRows, cols = kCutCols, time = 10;
    GuardedMatrix table(cols, cols), positions(time, cols), out(rows, cols), d_out(rows, cols);
    fill_normal(table, 1), fill_normal(positions, 2), fill_normal(d_out, 3);
    const auto tokens = tokens_below(rows, cols);
    run(threads, rows, cols, [&](ExecContext& ctx) {
      embedding_forward(ctx, out.ref(), table.ref(), positions.ref(), tokens.data(), time);
      embedding_backward(ctx, table.ref(), positions.ref(), d_out.ref(), tokens.data(), time);
    });
    std::vector<float> all;
    for (const auto* x : {&out, &table, &positions}) append(all, *x);
    return all;
  }));
}

TEST_CASE("embeddings: broken contracts") {
  GuardedMatrix table(2, 4), out(2, 4);
  const Token tokens[] = {0, 1}, outside[] = {0, 2};
  run(1, 2, 4, [&](ExecContext& ctx) {
    const MatrixRef no_positions(table.data(), 0, 4);
    REQUIRE_THROWS_AS(embedding_forward(ctx, out.ref(), table.ref(), no_positions, tokens, 0), ContractError);
    REQUIRE_THROWS_AS(embedding_backward(ctx, table.ref(), no_positions, out.ref(), tokens, 0),
                      ContractError);
    REQUIRE_THROWS_AS(embedding_forward(ctx, out.ref(), table.ref(), table.ref(), outside, 2), ContractError);
  });
}
