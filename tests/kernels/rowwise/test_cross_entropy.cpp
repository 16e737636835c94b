// Cross entropy of one ISA against plain loops in float64, its gradient against complex steps. Bounds: docs/kernels.md.
#include "kernels/rowwise/cross_entropy.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "kernels/block.hpp"
#include "kernels/reference/rowwise.hpp"
#include "kernels/rowwise/rowwise_cases.hpp"
#include "support/catch.hpp"
#include "support/complex_step.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

TEST_CASE("cross entropy and its gradient; an ignored target counts nothing; in place") {
  for (const double scale : {1.0, 32.0, 512.0}) {
    for (const Index vocab : {1, 2, 5, 8, 31, 65, 256}) {
      CAPTURE(scale, vocab);
      const Index rows = 6;
      GuardedMatrix logits(rows, vocab, 2), d_logits(rows, vocab, 1), losses = guarded_vector(rows),
                                                                      alone = guarded_vector(rows);
      fill_normal(logits, 1, scale);
      auto targets = tokens_below(rows, vocab);
      targets[2] = kIgnoreTarget;
      run(1, rows, vocab, [&](ExecContext& ctx) {
        cross_entropy_forward(ctx, alone.data(), logits.ref(), targets.data());
        cross_entropy_forward_backward(ctx, losses.data(), d_logits.ref(), logits.ref(), targets.data(),
                                       0.25f);
      });
      REQUIRE(compare_equal(losses.values(), alone.values()));
      REQUIRE((d_logits.intact() && losses.intact()));
      REQUIRE(losses(0, 2) == 0.0f);
      for (Index r = 0; r < rows; ++r) {
        const auto x = row_values(logits, r);
        if (targets[r] == kIgnoreTarget) {
          for (Index j = 0; j < vocab; ++j) REQUIRE(d_logits(r, j) == 0.0f);
          continue;
        }
        const auto loss = [&](std::span<const Complex> z) {
          return 0.25 * reference::cross_entropy_ref(z.data(), vocab, targets[r]);
        };
        double largest = 0;
        for (const double v : x) largest = std::max(largest, std::abs(v));
        const double exact = reference::cross_entropy_ref(x.data(), vocab, Index(targets[r]));
        REQUIRE(std::abs(losses(0, r) - exact) <= u * (vocab + 7 * largest + 8 + 3 * std::abs(exact)));
        const auto expected = gradient(loss, x);
        REQUIRE(std::abs(expected[targets[r]]) <= 0.25);
        for (Index j = 0; j < vocab; ++j) {
          const double softmax = expected[j] / 0.25 + (j == targets[r]);
          REQUIRE(std::abs(d_logits(r, j) - expected[j]) <=
                  0.25 * u * ((vocab + 9 * largest + 16) * softmax + 1) + 0x1p-125);
        }
      }
      GuardedMatrix in_place(rows, vocab);
      in_place.fill([&](Index i, Index j) { return logits(i, j); });
      run(1, rows, vocab, [&](ExecContext& ctx) {
        cross_entropy_forward_backward(ctx, losses.data(), in_place.ref(), in_place.ref(), targets.data(),
                                       0.25f);
      });
      REQUIRE(compare_equal(in_place.values(), d_logits.values()));
    }
  }
}

TEST_CASE("cross entropy with a z-loss: its gradient, and losses without it") {
  for (const double scale : {1.0, 32.0}) {
    for (const float z : {1e-4f, 0.3f}) {
      for (const Index vocab : {1, 5, 31, 256}) {
        CAPTURE(scale, z, vocab);
        const Index rows = 4;
        GuardedMatrix logits(rows, vocab, 2), d_logits(rows, vocab, 1), losses = guarded_vector(rows),
                                                                        plain = guarded_vector(rows);
        fill_normal(logits, 1, scale);
        const auto targets = tokens_below(rows, vocab);
        run(1, rows, vocab, [&](ExecContext& ctx) {
          cross_entropy_forward(ctx, plain.data(), logits.ref(), targets.data());
          cross_entropy_forward_backward(ctx, losses.data(), d_logits.ref(), logits.ref(), targets.data(),
                                         0.25f, z);
        });
        REQUIRE(compare_equal(losses.values(), plain.values()));
        for (Index r = 0; r < rows; ++r) {
          const auto x = row_values(logits, r);
          const auto level = [&](auto* values) {  // log of the sum of exponentials
            return reference::cross_entropy_ref(values, vocab, Index(0)) + values[0];
          };
          const auto objective = [&](std::span<const Complex> values) {
            const Complex L = level(values.data());
            return 0.25 *
                   (reference::cross_entropy_ref(values.data(), vocab, targets[r]) + double(z) * L * L);
          };
          double largest = 0;
          for (const double v : x) largest = std::max(largest, std::abs(v));
          const double L = level(x.data()), w = std::abs(1 + 2 * double(z) * L);
          const auto expected = gradient(objective, x);
          for (Index j = 0; j < vocab; ++j) {
            const double softmax = std::exp(x[j] - L);
            const double factor = w * (vocab + 9 * largest + 17) +
                                  2 * double(z) * (vocab + 10 * largest + 8 + 5 * std::abs(L)) + 2;
            REQUIRE(std::abs(d_logits(r, j) - expected[j]) <= 0.25 * u * (factor * softmax + 1) + 0x1p-125);
          }
        }
      }
    }
  }
}

TEST_CASE("cross entropy: no bit depends on threads") {
  REQUIRE(same_bits_for_threads([](int threads) {
    GuardedMatrix logits(kCutRows, kCutCols), d_logits(kCutRows, kCutCols), losses = guarded_vector(kCutRows);
    fill_normal(logits, 1);
    const auto targets = tokens_below(kCutRows, kCutCols);
    run(threads, kCutRows, kCutCols, [&](ExecContext& ctx) {
      cross_entropy_forward_backward(ctx, losses.data(), d_logits.ref(), logits.ref(), targets.data(), 0.25f);
    });
    std::vector<float> all = d_logits.values();
    append(all, losses);
    return all;
  }));
}

TEST_CASE("cross entropy: gradients that are streamed have the bits of those that are not") {
  const auto targets = tokens_below(3, 60);
  for (Index r = 0; r < 3; ++r) {
    CAPTURE(r);
    auto some = targets;
    some[r] = kIgnoreTarget;
    REQUIRE(same_bits_streamed(3, [&](GuardedMatrix& out, Stores stores) {
      GuardedMatrix logits(3, out.cols()), losses = guarded_vector(3), waiting = guarded_vector(out.cols());
      fill_normal(logits, 1);
      test_table().rowwise->cross_entropy(losses.data(), out.ref(), logits.ref(), some.data(), kIgnoreTarget,
                                          0.25f, 0.0f, stores, waiting.data());
      REQUIRE((losses.intact() && waiting.intact()));
    }));
  }
}

TEST_CASE("cross entropy of logits too large for the caches has the bits of small ones") {
  const Index rows = 1024, cols = 8192;  // 32 MiB, where drivers begin to stream
  const Block block(rows * cols * sizeof(float));
  const MatrixRef d_logits(block.as<float>(), rows, cols);
  std::fill_n(d_logits.data, rows * cols, std::nanf(""));
  std::vector<float> logits(rows * cols), losses(rows), row(cols);
  for (Index i = 0; i < rows * cols; ++i) logits[i] = static_cast<float>(i % 7919) * 0x1p-10f;
  const auto targets = tokens_below(rows, cols);
  run(3, rows, cols, [&](ExecContext& ctx) {
    cross_entropy_forward_backward(ctx, losses.data(), d_logits, {logits.data(), rows, cols}, targets.data(),
                                   0.25f);
    for (Index r = 0; r < rows; r += 131) {
      float loss;
      cross_entropy_forward_backward(ctx, &loss, {row.data(), 1, cols}, {logits.data() + r * cols, 1, cols},
                                     &targets[r], 0.25f);
      REQUIRE(loss == losses[r]);
      REQUIRE(std::equal(row.begin(), row.end(), d_logits.row(r)));
    }
    Scratch none(0);
    ExecContext poor{test_table(), 1, none};
    REQUIRE_THROWS_AS(cross_entropy_forward_backward(poor, losses.data(), d_logits,
                                                     {logits.data(), rows, cols}, targets.data(), 0.25f),
                      ContractError);
  });
  REQUIRE(std::none_of(d_logits.data, d_logits.data + rows * cols, [](float v) { return std::isnan(v); }));
}

TEST_CASE("cross entropy: nothing to do, and broken contracts") {
  GuardedMatrix logits(2, 4), narrow(2, 3), losses = guarded_vector(2);
  fill_normal(logits, 1);
  const Token outside[] = {0, 4}, tokens[] = {0, 1};
  run(1, 2, 4, [&](ExecContext& ctx) {
    cross_entropy_forward(ctx, losses.data(), ConstMatrixRef(logits.data(), 0, 4), nullptr);
    REQUIRE(std::isnan(losses(0, 0)));
    REQUIRE_THROWS_AS(cross_entropy_forward(ctx, losses.data(), logits.ref(), outside), ContractError);
    REQUIRE_THROWS_AS(cross_entropy_forward(ctx, losses.data(), ConstMatrixRef(logits.data(), 2, 0), tokens),
                      ContractError);
    REQUIRE_THROWS_AS(
        cross_entropy_forward_backward(ctx, losses.data(), narrow.ref(), logits.ref(), tokens, 1.0f),
        ContractError);
    REQUIRE_THROWS_AS(
        cross_entropy_forward_backward(ctx, losses.data(), logits.ref(), logits.ref(), tokens, 1.0f, -1.0f),
        ContractError);
  });
}
