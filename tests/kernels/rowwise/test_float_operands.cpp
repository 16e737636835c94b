// Row kernels on bfloat16: the bits of the same kernel on widened operands, its results rounded once; whatever is bfloat16
// and whatever float32.
#include <deque>
#include <functional>

#include "base/check.hpp"
#include "kernels/rowwise/activation.hpp"
#include "kernels/rowwise/cross_entropy.hpp"
#include "kernels/rowwise/norm.hpp"
#include "kernels/rowwise/rotary.hpp"
#include "kernels/rowwise/rowwise_cases.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

namespace {

// A matrix of values that bfloat16 has, in both types.
struct Both {
  GuardedMatrix wide;
  GuardedMatrixOf<bf16> narrow;
  Both(Index rows, Index cols, int seed) : wide(rows, cols, 3, 1), narrow(rows, cols, 5, 1) {
    fill_normal(wide, seed);
    narrow.fill([&](Index i, Index j) { return wide(i, j); });
    wide.fill([&](Index i, Index j) { return to_float(narrow(i, j)); });
  }
  FloatMatrix as(FloatType type) {
    return type == FloatType::float32 ? FloatMatrix(wide.ref()) : FloatMatrix(narrow.ref());
  }
};

// Operands of a kernel with `outs` results first, of types that the bits of `narrow` say.
struct Case {
  const char* name;
  int outs, ins;
  std::function<void(ExecContext&, std::vector<FloatMatrix>&)> call;
};

void check(const Case& c, Index rows, Index cols) {
  const int operands = c.outs + c.ins;
  for (int narrow = 0; narrow < 1 << operands; ++narrow) {
    for (const int threads : {1, 3}) {
      INFO(c.name << " " << rows << "x" << cols << ", narrow " << narrow << ", threads " << threads);
      std::deque<Both> expected, actual;
      std::vector<FloatMatrix> wide, mixed;
      for (int i = 0; i < operands; ++i) {
        expected.emplace_back(rows, cols, i);
        actual.emplace_back(rows, cols, i);
      }
      for (int i = 0; i < operands; ++i) {
        wide.push_back(expected[static_cast<std::size_t>(i)].as(FloatType::float32));
        mixed.push_back(actual[static_cast<std::size_t>(i)].as((narrow >> i & 1) != 0 ? FloatType::bfloat16
                                                                                      : FloatType::float32));
      }
      run(1, rows, cols, [&](ExecContext& ctx) { c.call(ctx, wide); });
      run(threads, rows, cols, [&](ExecContext& ctx) { c.call(ctx, mixed); });
      for (int o = 0; o < c.outs; ++o) {
        const Both &want = expected[static_cast<std::size_t>(o)], &got = actual[static_cast<std::size_t>(o)];
        REQUIRE((got.wide.intact() && got.narrow.intact()));
        REQUIRE(compare(rows * cols, [&](Index e) {
          const Index i = e / cols, j = e % cols;
          if ((narrow >> o & 1) == 0) return Element{got.wide(i, j), want.wide(i, j)};
          return Element{to_float(got.narrow(i, j)), to_float(to_bf16(want.wide(i, j)))};
        }));
      }
    }
  }
}

}  // namespace

TEST_CASE("row kernels take and give bfloat16", "[rowwise]") {
  // A part of several rows and one of a row alone, which is wider than a part.
  for (const auto& shape : {std::pair<Index, Index>{7, 33}, {140, 66}, {3, 5000}}) {
    const Index rows = shape.first, cols = shape.second;
    std::vector<float> mean(rows), rstd(rows), gain(cols, 1.5f), bias(cols, 0.5f), sums(cols);
    std::vector<std::int32_t> positions(rows, 2);
    std::vector<float> angle(static_cast<std::size_t>(3 * (cols / 2)), 0.5f);
    const Rotary rotary{
        RotaryPairing::halves, cols, {angle.data(), 3, cols / 2}, {angle.data(), 3, cols / 2}};
    const std::vector<Token> targets = tokens_below(rows, cols);
    std::vector<float> losses(rows);
    const Case cases[] = {
        {"activation forward", 1, 1,
         [](ExecContext& ctx, auto& x) { activation_forward(ctx, Activation::gelu, x[0], x[1]); }},
        {"activation backward", 1, 2,
         [](ExecContext& ctx, auto& x) { activation_backward(ctx, Activation::silu, x[0], x[1], x[2]); }},
        {"gated forward", 1, 2,
         [](ExecContext& ctx, auto& x) { gated_forward(ctx, Activation::silu, x[0], x[1], x[2]); }},
        {"gated backward", 2, 3,
         [](ExecContext& ctx, auto& x) {
           gated_backward(ctx, Activation::gelu, x[0], x[1], x[2], x[3], x[4]);
         }},
        {"layernorm forward", 1, 1,
         [&](ExecContext& ctx, auto& x) {
           layernorm_forward(ctx, x[0], mean.data(), rstd.data(), x[1], gain.data(), bias.data(), 1e-5f);
         }},
        {"layernorm backward", 1, 2,
         [&](ExecContext& ctx, auto& x) {
           layernorm_backward(ctx, x[0], sums.data(), nullptr, x[1], x[2], mean.data(), rstd.data(),
                              gain.data());
         }},
        {"rmsnorm forward", 1, 1,
         [&](ExecContext& ctx, auto& x) {
           rmsnorm_forward(ctx, x[0], rstd.data(), x[1], gain.data(), 1e-5f);
         }},
        {"rmsnorm backward", 1, 2,
         [&](ExecContext& ctx, auto& x) {
           rmsnorm_backward(ctx, x[0], sums.data(), x[1], x[2], rstd.data(), gain.data());
         }},
        {"rotary", 1, 1,
         [&](ExecContext& ctx, auto& x) { rotary_forward(ctx, x[0], x[1], positions.data(), rotary); }},
    };
    for (const Case& c : cases) check(c, rows, cols);
    const Case entropy = {"cross entropy", 1, 0, [&](ExecContext& ctx, auto& x) {
                            Both logits(rows, cols, 9);
                            cross_entropy_forward_backward(ctx, losses.data(), x[0], logits.wide.ref(),
                                                           targets.data(), 2.0f);
                          }};
    check(entropy, rows, cols);
  }
}

TEST_CASE("sums over rows take bfloat16", "[rowwise]") {
  const Index rows = 140, cols = 66;
  Both in(rows, cols, 3), d_out(rows, cols, 4), d_in(rows, cols, 5);
  std::vector<float> mean(rows, 0.1f), rstd(rows, 1.1f), gain(cols, 1.5f);
  const auto sums = [&](FloatType type, int threads) {
    std::vector<float> all(static_cast<std::size_t>(3 * cols), 1.0f);
    run(threads, rows, cols, [&](ExecContext& ctx) {
      column_sums(ctx, all.data(), in.as(type));
      layernorm_backward(ctx, d_in.as(type), all.data() + cols, all.data() + 2 * cols, d_out.as(type),
                         in.as(type), mean.data(), rstd.data(), gain.data());
    });
    return all;
  };
  // Parts of a chunk of rows go on where the last one ended.
  const std::vector<float> expected = sums(FloatType::float32, 1);
  for (const int threads : {1, 2, 3}) REQUIRE(compare_equal(sums(FloatType::bfloat16, threads), expected));
}

TEST_CASE("room for bfloat16 rows is part of what row kernels ask for", "[rowwise]") {
  Both x(3, 40, 1), y(3, 40, 2);
  Scratch none;
  ExecContext ctx{test_table(), 1, none};
  REQUIRE_THROWS_AS(
      activation_forward(ctx, Activation::relu, y.as(FloatType::bfloat16), x.as(FloatType::float32)),
      ContractError);
  REQUIRE_NOTHROW(
      activation_forward(ctx, Activation::relu, y.as(FloatType::float32), x.as(FloatType::float32)));
}
