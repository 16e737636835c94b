// Rotary position embedding of one ISA against plain loops in float64, gradients against complex steps.
#include "kernels/rowwise/rotary.hpp"

#include <cmath>

#include "base/check.hpp"
#include "kernels/reference/rowwise.hpp"
#include "kernels/rowwise/rowwise_cases.hpp"
#include "support/catch.hpp"
#include "support/complex_step.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

namespace {

constexpr double kBase = 10000;

struct Shape {
  Index heads, head_size, pairs;
};
// Whole and partial vectors of every ISA; whole and partial rotary dimensions; odd heads; nothing that turns.
const Shape kShapes[] = {{1, 2, 1},    {3, 2, 1},    {2, 7, 3},  {2, 16, 8},  {1, 18, 9},
                         {2, 32, 16},  {2, 34, 17},  {2, 64, 8}, {3, 64, 32}, {1, 65, 32},
                         {2, 128, 64}, {1, 132, 33}, {2, 5, 0}};

struct Case {
  Shape shape;
  RotaryPairing pairing;
  Index rows = 4, cols = shape.heads * shape.head_size;
  GuardedMatrix in{rows, cols, 3}, out{rows, cols, 2}, d_out{rows, cols, 1}, d_in{rows, cols, 3};
  GuardedMatrix cos{60, shape.pairs, 2}, sin{60, shape.pairs, 1};
  std::vector<std::int32_t> positions = {7, 0, 59, 7};  // out of order, repeated, the first and the last

  Case(const Shape& s, RotaryPairing p) : shape(s), pairing(p) {
    fill_normal(in, 1), fill_normal(d_out, 2);
    rotary_tables(cos.ref(), sin.ref(), kBase);
  }
  Rotary rotary() const { return {pairing, shape.head_size, cos.ref(), sin.ref()}; }
  void both(int threads = 1) {
    run(threads, rows, cols, [&](ExecContext& ctx) {
      rotary_forward(ctx, out.ref(), in.ref(), positions.data(), rotary());
      rotary_backward(ctx, d_in.ref(), d_out.ref(), positions.data(), rotary());
    });
  }
  template <class S>
  std::vector<S> reference(const S* x) const {
    std::vector<S> y(rows * cols);
    for (Index r = 0; r < rows; ++r) {
      for (Index h = 0; h < shape.heads; ++h) {
        const Index at = r * cols + h * shape.head_size;
        reference::rotary_ref(y.data() + at, x + at, shape.head_size, shape.pairs,
                              pairing == RotaryPairing::interleaved, positions[r], kBase);
      }
    }
    return y;
  }
  // 3 u (|x_a cos| + |x_b sin|) of the pair that element i of `x` belongs to; 0 where nothing turns.
  double bound(const std::vector<float>& x, Index i) const {
    const Index r = i / cols, k = i % cols % shape.head_size, head = i - k, pairs = shape.pairs;
    if (k >= 2 * pairs) return 0;
    const bool side_by_side = pairing == RotaryPairing::interleaved;
    const Index pair = side_by_side ? k / 2 : k % pairs;
    const Index other = head + (side_by_side ? (k ^ 1) : (k < pairs ? k + pairs : k - pairs));
    const double angle = positions[r] * std::pow(kBase, -double(pair) / double(pairs));
    return 3 * u * (std::abs(x[i] * std::cos(angle)) + std::abs(x[other] * std::sin(angle)));
  }
};

const RotaryPairing kPairings[] = {RotaryPairing::interleaved, RotaryPairing::halves};

}  // namespace

TEST_CASE("rotary is within its bound; what does not turn is copied bit for bit") {
  for (const RotaryPairing pairing : kPairings) {
    for (const Shape& shape : kShapes) {
      CAPTURE(static_cast<int>(pairing), shape.heads, shape.head_size, shape.pairs);
      Case p(shape, pairing);
      p.both();
      REQUIRE((p.out.intact() && p.d_in.intact()));
      const auto x = p.in.values(), y = p.out.values();
      const std::vector<double> exact_in(x.begin(), x.end());
      const auto expected = p.reference(exact_in.data());
      REQUIRE(compare(p.rows * p.cols, [&](Index i) { return Element{y[i], expected[i], p.bound(x, i)}; }));
    }
  }
}

TEST_CASE("rotary's gradient agrees with complex steps") {
  for (const RotaryPairing pairing : kPairings) {
    for (const Shape& shape : {Shape{2, 7, 3}, {2, 34, 17}, {1, 64, 32}}) {
      Case p(shape, pairing);
      p.both();
      const auto in = p.in.values(), d = p.d_out.values(), d_in = p.d_in.values();
      const std::vector<double> x(in.begin(), in.end()), actual(d_in.begin(), d_in.end());
      const auto loss = [&](std::span<const Complex> z) {
        const auto out = p.reference(z.data());
        Complex sum = 0;
        for (std::size_t i = 0; i < out.size(); ++i) sum += out[i] * double(d[i]);
        return sum;
      };
      // The second part is the reference's own float64, where nothing turns.
      const auto bound = [&](Index i) { return p.bound(d, i) + 2e-15 * std::abs(double(d[i])); };
      const auto expected = gradient(loss, x);
      REQUIRE(compare(p.rows * p.cols, [&](Index i) { return Element{actual[i], expected[i], bound(i)}; }));
      const auto direction = normal_values(x.size(), 8);
      REQUIRE(agrees_along(directional_derivative(loss, x, direction), actual, direction, bound));
    }
  }
}

TEST_CASE("quarter turns of whole numbers are exact, and backward takes them back") {
  for (const RotaryPairing pairing : kPairings) {
    for (const Shape& shape : kShapes) {
      CAPTURE(static_cast<int>(pairing), shape.heads, shape.head_size, shape.pairs);
      Case p(shape, pairing);
      fill_integer(p.in, 1);
      p.cos.fill([](Index i, Index j) { return double((i + j) % 2 == 0 ? 1 - (i + j) % 4 : 0); });
      p.sin.fill([](Index i, Index j) { return double((i + j) % 2 == 0 ? 0 : 2 - (i + j) % 4); });
      run(1, p.rows, p.cols, [&](ExecContext& ctx) {
        rotary_forward(ctx, p.out.ref(), p.in.ref(), p.positions.data(), p.rotary());
        rotary_backward(ctx, p.d_in.ref(), p.out.ref(), p.positions.data(), p.rotary());
      });
      REQUIRE(compare_equal(p.d_in.values(), p.in.values()));
      for (Index r = 0; r < p.rows; ++r) {
        for (Index i = 0; i < shape.pairs; ++i) {
          const bool side_by_side = pairing == RotaryPairing::interleaved;
          const Index a = side_by_side ? 2 * i : i, b = side_by_side ? 2 * i + 1 : i + shape.pairs;
          const float c = p.cos(p.positions[r], i), s = p.sin(p.positions[r], i);
          REQUIRE(p.out(r, a) == p.in(r, a) * c - p.in(r, b) * s);
          REQUIRE(p.out(r, b) == p.in(r, b) * c + p.in(r, a) * s);
        }
      }
    }
  }
}

TEST_CASE("rotary tables are the floats nearest to float64's; products depend on the distance") {
  GuardedMatrix cos(5000, 3, 1), sin(5000, 3, 2);
  rotary_tables(cos.ref(), sin.ref(), 500000.0);
  REQUIRE((cos.intact() && sin.intact()));
  for (const Index p : {0, 1, 4999}) {
    for (Index i = 0; i < 3; ++i) {
      const double angle = double(p) * std::pow(500000.0, -double(i) / 3);
      REQUIRE(cos(p, i) == static_cast<float>(std::cos(angle)));
      REQUIRE(sin(p, i) == static_cast<float>(std::sin(angle)));
    }
  }
  Case near({1, 64, 32}, RotaryPairing::halves), far({1, 64, 32}, RotaryPairing::halves);
  near.positions = {3, 10, 0, 0}, far.positions = {45, 52, 0, 0};
  near.both(), far.both();
  const auto product = [](const Case& c) {
    double sum = 0;
    for (Index j = 0; j < 64; ++j) sum += double(c.out(0, j)) * c.out(1, j);
    return sum;
  };
  double size = 0;
  for (Index j = 0; j < 64; ++j)
    size += std::abs(double(near.in(0, j))) * 2 + std::abs(double(near.in(1, j))) * 2;
  REQUIRE(std::abs(product(near) - product(far)) < 64 * u * size);
}

TEST_CASE("rotary in place, streamed, and with any number of threads gives the same bits") {
  for (const RotaryPairing pairing : kPairings) {
    for (const Shape& shape : kShapes) {
      Case p(shape, pairing);
      p.both();
      GuardedMatrix x(p.rows, p.cols);
      copy_of(x, p.in);
      run(1, p.rows, p.cols,
          [&](ExecContext& ctx) { rotary_forward(ctx, x.ref(), x.ref(), p.positions.data(), p.rotary()); });
      REQUIRE(x.intact());
      REQUIRE(compare_equal(x.values(), p.out.values()));
    }
    const auto tile = pairing == RotaryPairing::halves ? test_table().rowwise->rotary_halves
                                                       : test_table().rowwise->rotary_interleaved;
    for (const Index pairs : {16, 8, 7}) {
      REQUIRE(same_bits_streamed(4, [&](GuardedMatrix& out, Stores stores) {
        const Index head = out.cols() % 16 == 0 ? out.cols() / (out.cols() == 64 ? 2 : 1) : out.cols();
        Case p({out.cols() / head, head, pairs}, pairing);
        tile(out.ref(), p.in.ref(), p.positions.data(), {head, p.cos.ref(), p.sin.ref(), 1.0f}, stores);
      }));
    }
    REQUIRE(same_bits_for_threads([&](int threads) {
      GuardedMatrix in(kCutRows, 280), out(kCutRows, 280), cos(50, 20), sin(50, 20);
      fill_normal(in, 1);
      rotary_tables(cos.ref(), sin.ref());
      const auto positions = tokens_below(kCutRows, 50);
      run(threads, kCutRows, 280, [&](ExecContext& ctx) {
        rotary_forward(ctx, out.ref(), in.ref(), positions.data(), {pairing, 40, cos.ref(), sin.ref()});
      });
      return out.values();
    }));
  }
}

TEST_CASE("rotary: nothing to do, and broken contracts") {
  Case p({2, 16, 8}, RotaryPairing::halves);
  run(1, 4, 32, [&](ExecContext& ctx) {
    const auto forward = [&](const Rotary& rotary, const std::vector<std::int32_t>& positions) {
      rotary_forward(ctx, p.out.ref(), p.in.ref(), positions.data(), rotary);
    };
    rotary_forward(ctx, MatrixRef(p.out.data(), 0, 32), ConstMatrixRef(p.in.data(), 0, 32), nullptr,
                   p.rotary());
    rotary_forward(ctx, MatrixRef(p.out.data(), 4, 0), ConstMatrixRef(p.in.data(), 4, 0), p.positions.data(),
                   p.rotary());
    REQUIRE(std::isnan(p.out(0, 0)));
    REQUIRE_THROWS_AS(forward(p.rotary(), {0, 60, 0, 0}), ContractError);
    REQUIRE_THROWS_AS(forward(p.rotary(), {0, 0, 0, -1}), ContractError);
    for (const Index head : {0, 15, 5}) {
      Rotary rotary = p.rotary();
      rotary.head_size = head;
      REQUIRE_THROWS_AS(forward(rotary, p.positions), ContractError);
    }
    Rotary rotary = p.rotary();
    rotary.head_size = 8;  // 16 elements would turn
    REQUIRE_THROWS_AS(forward(rotary, p.positions), ContractError);
    rotary = p.rotary();
    rotary.sin.rows = 59;
    REQUIRE_THROWS_AS(forward(rotary, p.positions), ContractError);
    REQUIRE_THROWS_AS(rotary_tables(p.cos.ref(), p.sin.ref(), 0.0), ContractError);
  });
}
