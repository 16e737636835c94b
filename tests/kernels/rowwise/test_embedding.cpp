// Embeddings of one ISA: exact on whole numbers.
#include "kernels/rowwise/embedding.hpp"

#include "base/check.hpp"
#include "kernels/rowwise/rowwise_cases.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

namespace {

std::vector<std::int32_t> positions_below(Index rows, Index time) {
  std::vector<std::int32_t> positions;
  for (Index r = 0; r < rows; ++r) positions.push_back(static_cast<std::int32_t>(r * r % time));
  return positions;
}

}  // namespace

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
    const auto places = positions_below(rows, time);
    run(2, rows, cols, [&](ExecContext& ctx) {
      embedding_forward(ctx, out.ref(), table.ref(), positions.ref(), tokens.data(), places.data());
      embedding_backward(ctx, d_table.ref(), d_positions.ref(), x.ref(), tokens.data(), places.data());
    });
    REQUIRE((out.intact() && d_table.intact() && d_positions.intact()));
    std::vector<double> token_sum(vocab * cols, 1), position_sum(time * cols, 1), embedded;
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < cols; ++j) {
        token_sum[tokens[r] * cols + j] += x(r, j);
        position_sum[places[r] * cols + j] += x(r, j);
        embedded.push_back(table(tokens[r], j) + positions(places[r], j));
      }
    }
    REQUIRE(compare_equal(d_table.values(), token_sum));
    REQUIRE(compare_equal(d_positions.values(), position_sum));
    REQUIRE(compare_equal(out.values(), embedded));

    // Tokens alone, without positions.
    GuardedMatrix alone(rows, cols, 2), d_alone(vocab, cols);
    d_alone.fill([](auto, auto) { return 1; });
    run(2, rows, cols, [&](ExecContext& ctx) {
      embedding_forward(ctx, alone.ref(), table.ref(), {}, tokens.data(), nullptr);
      embedding_backward(ctx, d_alone.ref(), {}, x.ref(), tokens.data(), nullptr);
    });
    REQUIRE(alone.intact());
    REQUIRE(compare(rows * cols, [&](Index e) {
      return Element{alone(e / cols, e % cols), table(tokens[e / cols], e % cols)};
    }));
    REQUIRE(compare_equal(d_alone.values(), token_sum));
  }
}

TEST_CASE("embeddings: no bit depends on threads") {
  REQUIRE(same_bits_for_threads([](int threads) {
    const Index rows = kCutRows, cols = kCutCols, time = 10;
    GuardedMatrix table(cols, cols), positions(time, cols), out(rows, cols), d_out(rows, cols);
    fill_normal(table, 1), fill_normal(positions, 2), fill_normal(d_out, 3);
    const auto tokens = tokens_below(rows, cols);
    const auto places = positions_below(rows, time);
    run(threads, rows, cols, [&](ExecContext& ctx) {
      embedding_forward(ctx, out.ref(), table.ref(), positions.ref(), tokens.data(), places.data());
      embedding_backward(ctx, table.ref(), positions.ref(), d_out.ref(), tokens.data(), places.data());
    });
    std::vector<float> all;
    for (const auto* x : {&out, &table, &positions}) append(all, *x);
    return all;
  }));
}

TEST_CASE("embeddings: broken contracts") {
  GuardedMatrix table(2, 4), narrow(2, 3), out(2, 4);
  const Token tokens[] = {0, 1}, outside[] = {0, 2};
  run(1, 2, 4, [&](ExecContext& ctx) {
    REQUIRE_NOTHROW(embedding_forward(ctx, out.ref(), table.ref(), table.ref(), tokens, tokens));
    REQUIRE_THROWS_AS(embedding_forward(ctx, out.ref(), table.ref(), table.ref(), tokens, outside),
                      ContractError);
    REQUIRE_THROWS_AS(embedding_backward(ctx, table.ref(), table.ref(), out.ref(), tokens, outside),
                      ContractError);
    REQUIRE_THROWS_AS(embedding_forward(ctx, out.ref(), table.ref(), narrow.ref(), tokens, tokens),
                      ContractError);
    REQUIRE_THROWS_AS(embedding_forward(ctx, out.ref(), table.ref(), table.ref(), outside, tokens),
                      ContractError);
  });
}
