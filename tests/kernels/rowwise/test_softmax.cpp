// Softmax of one ISA against plain loops in float64, gradients against complex steps. Bounds: docs/kernels.md.
#include "kernels/rowwise/softmax.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.hpp"
#include "kernels/block.hpp"
#include "kernels/reference/rowwise.hpp"
#include "kernels/rowwise/rowwise_cases.hpp"
#include "support/catch.hpp"
#include "support/complex_step.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

namespace {

struct Case {
  Index rows, cols;
  float scale;
  GuardedMatrix in{rows, cols, 3}, out{rows, cols, 1}, d_out{rows, cols, 2}, d_in{rows, cols, 1};
  Case(Index r, Index c, float s, double size) : rows(r), cols(c), scale(s) {
    fill_normal(in, 1, size), fill_normal(d_out, 2);
  }
  void both(int threads = 1) {
    run(threads, rows, cols, [&](ExecContext& ctx) {
      softmax_forward(ctx, out.ref(), in.ref(), scale);
      softmax_backward(ctx, d_in.ref(), d_out.ref(), out.ref(), scale);
    });
  }
};

// E of docs/kernels.md: a weight is within E u of itself, up to what is below 2^-126 of the largest.
double relative_bound(const std::vector<double>& x, double scale) {
  double largest = 0;
  for (const double v : x) largest = std::max(largest, std::abs(scale * v));
  return double(x.size()) + 12 * largest + 10;
}

}  // namespace

TEST_CASE("softmax and its gradient are within their bounds") {
  for (const float scale : {1.0f, 0.125f, 3.0f}) {
    for (const double size : {1.0, 32.0, 512.0}) {
      for (const Index cols : kColumns) {
        CAPTURE(scale, size, cols);
        Case p(3, cols, scale, size);
        p.both();
        REQUIRE((p.out.intact() && p.d_in.intact()));
        for (Index r = 0; r < p.rows; ++r) {
          const auto x = row_values(p.in, r), d = row_values(p.d_out, r);
          std::vector<double> w(cols);
          reference::softmax_ref(w.data(), x.data(), cols, double(scale));
          const double relative = relative_bound(x, scale);
          REQUIRE(compare(cols, [&](Index j) {
            return Element{p.out(r, j), w[j], relative * u * w[j] + 0x1p-125};
          }));
          const auto loss = [&](std::span<const Complex> z) {
            std::vector<Complex> out(cols);
            reference::softmax_ref(out.data(), z.data(), cols, double(scale));
            Complex sum = 0;
            for (Index j = 0; j < cols; ++j) sum += out[j] * d[j];
            return sum;
          };
          const auto expected = gradient(loss, x);
          double mean = 0, absolute = 0;
          for (Index j = 0; j < cols; ++j) mean += w[j] * d[j], absolute += w[j] * std::abs(d[j]);
          const auto bound = [&](Index j) {
            const double factor = std::abs(scale) * (u * w[j] + 0x1p-125);
            return factor *
                   ((relative + 4) * std::abs(d[j] - mean) + (relative + double(cols) + 2) * absolute);
          };
          for (Index j = 0; j < cols; ++j) REQUIRE(std::abs(p.d_in(r, j) - expected[j]) <= bound(j));
          const auto direction = normal_values(x.size(), 8);
          REQUIRE(agrees_along(directional_derivative(loss, x, direction), row_values(p.d_in, r), direction,
                               bound));
        }
      }
    }
  }
}

TEST_CASE("softmax where it is exact: equal values, a mask, one that outweighs all, a single column") {
  for (const Index cols : {1, 2, 4, 16, 64}) {
    Case p(4, cols, 1.0f, 1.0);
    const float infinity = std::numeric_limits<float>::infinity();
    p.in.fill([&](Index i, Index j) -> double {
      if (i == 0) return 3;
      if (i == 1) return j == cols - 1 ? 200 : 0;
      if (i == 2) return j < (cols + 1) / 2 ? 7 : -infinity;
      return -infinity;
    });
    p.both();
    for (Index j = 0; j < cols; ++j) {
      REQUIRE(p.out(0, j) == 1.0f / static_cast<float>(cols));
      REQUIRE(p.out(1, j) == (j == cols - 1 ? 1.0f : 0.0f));
      const Index half = (cols + 1) / 2;
      REQUIRE(p.out(2, j) == (j < half ? 1.0f / static_cast<float>(half) : 0.0f));
      REQUIRE(std::isnan(p.out(3, j)));
      REQUIRE(p.d_in(1, j) == 0.0f);
    }
    p.in(0, cols / 2) = std::nanf("");
    p.in(1, 0) = infinity;
    p.both();
    for (Index j = 0; j < cols; ++j) REQUIRE((std::isnan(p.out(0, j)) && std::isnan(p.out(1, j))));
  }
}

TEST_CASE("the largest is found wherever it is") {
  const Index cols = 150;
  for (Index at = 0; at < cols; ++at) {
    Case p(1, cols, 1.0f, 1.0);
    p.in(0, at) = 1000;
    p.both();
    for (Index j = 0; j < cols; ++j) REQUIRE(p.out(0, j) == (j == at ? 1.0f : 0.0f));
  }
}

TEST_CASE("softmax in place, streamed, and with any number of threads gives the same bits") {
  for (const Index cols : {5, 16, 33}) {
    Case p(3, cols, 0.5f, 1.0);
    p.both();
    GuardedMatrix x(3, cols), d(3, cols), w(3, cols);
    copy_of(x, p.in), copy_of(d, p.d_out), copy_of(w, p.out);
    run(1, 3, cols, [&](ExecContext& ctx) {
      softmax_forward(ctx, x.ref(), x.ref(), 0.5f);
      softmax_backward(ctx, d.ref(), d.ref(), p.out.ref(), 0.5f);
      softmax_backward(ctx, w.ref(), p.d_out.ref(), w.ref(), 0.5f);
    });
    REQUIRE(compare_equal(x.values(), p.out.values()));
    REQUIRE(compare_equal(d.values(), p.d_in.values()));
    REQUIRE(compare_equal(w.values(), p.d_in.values()));
  }
  const Rowwise& tiles = *test_table().rowwise;
  REQUIRE(same_bits_streamed(3, [&](GuardedMatrix& out, Stores stores) {
    Case p(3, out.cols(), 0.5f, 1.0);
    GuardedMatrix waiting = guarded_vector(out.cols());
    tiles.softmax_forward(out.ref(), p.in.ref(), 0.5f, stores, waiting.data());
    REQUIRE(waiting.intact());
  }));
  REQUIRE(same_bits_streamed(3, [&](GuardedMatrix& out, Stores stores) {
    Case p(3, out.cols(), 0.5f, 1.0);
    p.both();
    tiles.softmax_backward(out.ref(), p.d_out.ref(), p.out.ref(), 0.5f, stores);
  }));
  REQUIRE(same_bits_for_threads([](int threads) {
    Case p(kCutRows, kCutCols, 0.5f, 1.0);
    p.both(threads);
    std::vector<float> all = p.out.values();
    append(all, p.d_in);
    return all;
  }));
}

TEST_CASE("results too large for the caches have the bits of small ones") {
  // 32 MiB, where drivers begin to stream; in a few wide rows the rows that wait are more than any other scratch.
  for (const auto& shape : {std::pair<Index, Index>{1024, 8192}, {8, 1 << 20}}) {
    const Index rows = shape.first, cols = shape.second;
    const Block first(rows * cols * sizeof(float)),
        second(rows * cols * sizeof(float));  // on boundaries of vectors
    const MatrixRef out(first.as<float>(), rows, cols), d_in(second.as<float>(), rows, cols);
    for (const MatrixRef& m : {out, d_in}) std::fill_n(m.data, rows * cols, std::nanf(""));
    std::vector<float> in(rows * cols), row(cols);
    for (Index i = 0; i < rows * cols; ++i) in[i] = static_cast<float>(i % 7919) * 0x1p-10f;
    run(3, rows, cols, [&](ExecContext& ctx) {
      softmax_forward(ctx, out, {in.data(), rows, cols});
      softmax_backward(ctx, d_in, {in.data(), rows, cols}, out);
      for (Index r = 0; r < rows; r += 1 + rows / 7) {
        const ConstMatrixRef x(in.data() + r * cols, 1, cols);
        softmax_forward(ctx, {row.data(), 1, cols}, x);
        REQUIRE(std::equal(row.begin(), row.end(), out.row(r)));
        softmax_backward(ctx, {row.data(), 1, cols}, x, {row.data(), 1, cols});
        REQUIRE(std::equal(row.begin(), row.end(), d_in.row(r)));
      }
    });
    REQUIRE(std::none_of(d_in.data, d_in.data + rows * cols, [](float v) { return std::isnan(v); }));
  }
}

TEST_CASE("softmax: nothing to do, and broken contracts") {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{0, 4}, {3, 0}}) {
    Case p(rows, cols, 1.0f, 1.0);
    p.both(2);
    REQUIRE((p.out.intact() && p.d_in.intact()));
  }
  Case p(2, 4, 1.0f, 1.0);
  GuardedMatrix narrow(2, 3);
  run(1, 2, 4, [&](ExecContext& ctx) {
    REQUIRE_THROWS_AS(softmax_forward(ctx, narrow.ref(), p.in.ref()), ContractError);
    REQUIRE_THROWS_AS(softmax_backward(ctx, p.d_in.ref(), narrow.ref(), p.out.ref()), ContractError);
    Scratch none(0);
    ExecContext poor{test_table(), 1, none};
    const ConstMatrixRef large(p.in.data(), 1 << 21, 4, 0);  // 32 MiB of the same row
    const Block block(std::size_t{32} << 20);
    REQUIRE_THROWS_AS(softmax_forward(poor, {block.as<float>(), 1 << 21, 4}, large), ContractError);
    ExecContext no_threads{test_table(), 0, ctx.scratch};
    REQUIRE_THROWS_AS(softmax_forward(no_threads, p.out.ref(), p.in.ref()), ContractError);
    for (const float scale : {0.0f, -1.0f, std::nanf(""), std::numeric_limits<float>::infinity(), 3e38f})
      REQUIRE_THROWS_AS(softmax_forward(ctx, p.out.ref(), p.in.ref(), scale), ContractError);
  });
}
