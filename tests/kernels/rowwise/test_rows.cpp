// What every row kernel refuses, whatever it computes.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "kernels/rowwise/activation.hpp"
#include "kernels/rowwise/convert.hpp"
#include "kernels/rowwise/cross_entropy.hpp"
#include "kernels/rowwise/embedding.hpp"
#include "kernels/rowwise/norm.hpp"
#include "kernels/rowwise/optimizer.hpp"
#include "kernels/rowwise/rotary.hpp"
#include "kernels/rowwise/rowwise_cases.hpp"
#include "kernels/rowwise/softmax.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

namespace {

using Catch::Matchers::Contains;

// Shapes of at most 4x4. `out` is the output that a case is about, `other` another one of its shape.
struct Views {
  MatrixRef out, other;
  ConstMatrixRef in;
};
float numbers[4][16];  // of vectors
const Token kTokens[4] = {};
const float kOnes[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

struct Kernel {
  const char* name;
  void (*call)(ExecContext&, const Views&);
  bool has_threads = true;
};
const Kernel kKernels[] = {
    {"activation_forward",
     [](ExecContext& ctx, const Views& x) { activation_forward(ctx, Activation::relu, x.out, x.in); }},
    {"activation_backward",
     [](ExecContext& ctx, const Views& x) { activation_backward(ctx, Activation::relu, x.out, x.in, x.in); }},
    {"gated_forward",
     [](ExecContext& ctx, const Views& x) { gated_forward(ctx, Activation::relu, x.out, x.in, x.in); }},
    {"gated_backward, d_gate",
     [](ExecContext& ctx, const Views& x) {
       gated_backward(ctx, Activation::relu, x.out, x.other, x.in, x.in, x.in);
     }},
    {"gated_backward, d_up",
     [](ExecContext& ctx, const Views& x) {
       gated_backward(ctx, Activation::relu, x.other, x.out, x.in, x.in, x.in);
     }},
    {"convert",
     [](ExecContext& ctx, const Views& x) {
       static bf16 in[16];
       convert(ctx, x.out, ConstMatrix<bf16>(in, x.in.rows, x.in.cols, x.in.row_stride));
     }},
    {"cross_entropy_forward_backward",
     [](ExecContext& ctx, const Views& x) {
       cross_entropy_forward_backward(ctx, numbers[0], x.out, x.in, kTokens, 1.0f);
     }},
    {"embedding_forward",
     [](ExecContext& ctx, const Views& x) {
       const ConstMatrixRef table(kOnes, 1, x.out.cols, 4);
       embedding_forward(ctx, x.out, table, table, kTokens, kTokens);
     }},
    {"embedding_backward, d_token_table",
     [](ExecContext& ctx, const Views& x) {
       embedding_backward(ctx, x.out, {x.other.data, 1, x.in.cols}, {x.in.data, 1, x.in.cols}, kTokens,
                          kTokens);
     }},
    {"embedding_backward, d_position_table",
     [](ExecContext& ctx, const Views& x) {
       embedding_backward(ctx, {x.other.data, 1, x.in.cols}, x.out, {x.in.data, 1, x.in.cols}, kTokens,
                          kTokens);
     }},
    {"layernorm_forward",
     [](ExecContext& ctx, const Views& x) {
       layernorm_forward(ctx, x.out, numbers[0], numbers[1], x.in, kOnes, kOnes, 1.0f);
     }},
    {"layernorm_backward",
     [](ExecContext& ctx, const Views& x) {
       layernorm_backward(ctx, x.out, numbers[0], numbers[1], x.in, x.in, kOnes, kOnes, kOnes);
     }},
    {"rmsnorm_forward",
     [](ExecContext& ctx, const Views& x) { rmsnorm_forward(ctx, x.out, numbers[0], x.in, kOnes, 1.0f); }},
    {"rmsnorm_backward",
     [](ExecContext& ctx, const Views& x) {
       rmsnorm_backward(ctx, x.out, numbers[0], x.in, x.in, kOnes, kOnes);
     }},
    {"rotary_forward",
     [](ExecContext& ctx, const Views& x) {
       const ConstMatrixRef table(kOnes, 1, 2);
       rotary_forward(ctx, x.out, x.in, kTokens, {RotaryPairing::halves, 4, table, table});
     }},
    {"rotary_tables, cos", [](ExecContext&, const Views& x) { rotary_tables(x.out, x.other); }, false},
    {"rotary_tables, sin", [](ExecContext&, const Views& x) { rotary_tables(x.other, x.out); }, false},
    {"softmax_forward", [](ExecContext& ctx, const Views& x) { softmax_forward(ctx, x.out, x.in); }},
    {"softmax_backward", [](ExecContext& ctx, const Views& x) { softmax_backward(ctx, x.out, x.in, x.in); }},
    {"add", [](ExecContext& ctx, const Views& x) { add(ctx, x.out, x.in, x.in); }},
};

// All views with this shape; rows of `out` and of `in` begin so far apart.
void call(const Kernel& kernel, int threads, Index rows, Index cols, Index out_stride = 4,
          Index in_stride = 4) {
  static float out[16], other[16];
  run(1, 4, 4, [&](ExecContext& ctx) {
    ExecContext with{ctx.kernels, threads, ctx.scratch};
    kernel.call(with,
                {{out, rows, cols, out_stride}, {other, rows, cols, 4}, {kOnes, rows, cols, in_stride}});
  });
}

}  // namespace

TEST_CASE("row kernels refuse sizes below 0, with their name") {
  for (const Kernel& kernel : kKernels) {
    CAPTURE(kernel.name);
    REQUIRE_NOTHROW(call(kernel, 1, 2, 4));
    for (const int threads : {1, 2}) {
      REQUIRE_THROWS_WITH(call(kernel, threads, -2, 4), Contains(" is -2x4"));
      REQUIRE_THROWS_WITH(call(kernel, threads, 2, -4), Contains("x-4"));
    }
  }
  run(1, 4, 4, [&](ExecContext& ctx) {
    float* const x = numbers[0];
    REQUIRE_THROWS_WITH(adamw(ctx, x, numbers[1], numbers[2], kOnes, -1, {}), Contains("n is -1"));
    REQUIRE_THROWS_WITH(sgd(ctx, x, nullptr, kOnes, -1, {}), Contains("n is -1"));
    REQUIRE_THROWS_WITH(sum_of_squares(ctx, kOnes, -1), Contains("n is -1"));
    REQUIRE_THROWS_WITH(column_sums(ctx, x, {kOnes, -1, 4}), Contains("in is -1x4"));
    REQUIRE_THROWS_WITH(convert(ctx, Matrix<bf16>(nullptr, -1, 4), ConstMatrixRef(kOnes, -1, 4)),
                        Contains("out is -1x4"));
  });
}

TEST_CASE("row kernels refuse to run on no thread, even where there is nothing to do") {
  for (const Kernel& kernel : kKernels) {
    if (!kernel.has_threads) continue;
    for (const auto& [rows, cols] : {std::pair<Index, Index>{2, 4}, {0, 4}, {2, 0}, {0, 0}}) {
      CAPTURE(kernel.name, rows, cols);
      REQUIRE_THROWS_AS(call(kernel, 0, rows, cols), ContractError);
    }
  }
}

TEST_CASE("row kernels refuse an output whose rows overlap, and take inputs whose rows do") {
  for (const Kernel& kernel : kKernels) {
    CAPTURE(kernel.name);
    for (const Index stride : {3, 1, 0, -4})
      REQUIRE_THROWS_WITH(call(kernel, 1, 2, 4, stride),
                          Contains("with row stride " + std::to_string(stride)));
    REQUIRE_NOTHROW(call(kernel, 1, 1, 4, 0));
    REQUIRE_NOTHROW(call(kernel, 1, 2, 4, 4, 0));
  }
}
