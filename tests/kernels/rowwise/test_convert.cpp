// Conversions between float32 and bfloat16, bit for bit against bf16.hpp.
#include "kernels/rowwise/convert.hpp"

#include <bit>

#include "base/check.hpp"
#include "kernels/rowwise/rowwise_cases.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

namespace {

using Halves = GuardedMatrixOf<bf16>;

std::vector<std::uint32_t> narrowed(const std::vector<std::uint32_t>& bits, Index cols, Index gap,
                                    int threads) {
  const Index rows = ceil_div(static_cast<Index>(bits.size()), cols);
  GuardedMatrix in(rows, cols, gap);
  Halves out(rows, cols, gap + 1);
  const auto at = [&](Index i) { return std::bit_cast<float>(bits[i % bits.size()]); };
  for (Index i = 0; i < rows * cols; ++i) in(i / cols, i % cols) = at(i);
  run(threads, rows, cols, [&](ExecContext& ctx) { convert(ctx, out.ref(), ConstMatrixRef(in.ref())); });
  REQUIRE(out.intact());
  std::vector<std::uint32_t> result;
  for (std::size_t i = 0; i < bits.size(); ++i) {
    const auto k = static_cast<Index>(i);
    result.push_back(out(k / cols, k % cols).bits);
  }
  return result;
}

}  // namespace

TEST_CASE("every bfloat16 becomes the float32 with its bits") {
  for (const Index cols : {1, 64, 61}) {
    const Index rows = ceil_div(1 << 16, cols);
    Halves in(rows, cols, 3);
    GuardedMatrix out(rows, cols, 1);
    for (Index i = 0; i < rows * cols; ++i) in(i / cols, i % cols).bits = static_cast<std::uint16_t>(i);
    run(2, rows, cols, [&](ExecContext& ctx) { convert(ctx, out.ref(), ConstMatrix<bf16>(in.ref())); });
    REQUIRE(out.intact());
    Index wrong = 0;
    for (Index i = 0; i < rows * cols; ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(out(i / cols, i % cols));
      wrong += bits != (static_cast<std::uint32_t>(i) & 0xffff) << 16;
    }
    REQUIRE(wrong == 0);
  }
}

TEST_CASE("float32 becomes the nearest bfloat16: around every one of them, below, at and above the ties") {
  std::vector<std::uint32_t> bits, expected;
  for (std::uint32_t upper = 0; upper < 1 << 16; ++upper) {
    for (const std::uint32_t lower : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      bits.push_back(upper << 16 | lower);
      expected.push_back(to_bf16(std::bit_cast<float>(bits.back())).bits);
    }
  }
  REQUIRE(compare_equal(narrowed(bits, 64, 0, 1), expected));
  REQUIRE(compare_equal(narrowed(bits, 77, 3, 2), expected));
}

TEST_CASE("conversions of every width, with rows apart") {
  for (const Index cols : kColumns) {
    CAPTURE(cols);
    GuardedMatrix in(5, cols, 3), back(5, cols, 1);
    Halves half(5, cols, 2);
    fill_normal(in, 1);
    run(1, 5, cols, [&](ExecContext& ctx) {
      convert(ctx, half.ref(), ConstMatrixRef(in.ref()));
      convert(ctx, back.ref(), ConstMatrix<bf16>(half.ref()));
    });
    REQUIRE((half.intact() && back.intact()));
    for (Index r = 0; r < 5; ++r)
      for (Index j = 0; j < cols; ++j) REQUIRE(back(r, j) == to_float(to_bf16(in(r, j))));
  }
}

TEST_CASE("conversions: the same bits streamed, and with any number of threads") {
  const Rowwise& tiles = *test_table().rowwise;
  REQUIRE(same_bits_streamed<bf16>(3, [&](Halves& out, Stores stores) {
    GuardedMatrix in(out.rows(), out.cols(), 1);
    fill_normal(in, 1);
    tiles.narrow(out.ref(), in.ref(), stores);
  }));
  REQUIRE(same_bits_streamed(3, [&](GuardedMatrix& out, Stores stores) {
    Halves in(out.rows(), out.cols(), 1);
    in.fill([](Index i, Index j) { return i + 0.125 * double(j); });
    tiles.widen(out.ref(), in.ref(), stores);
  }));
  REQUIRE(same_bits_for_threads([&](int threads) {
    GuardedMatrix in(kCutRows, kCutCols), back(kCutRows, kCutCols);
    Halves half(kCutRows, kCutCols);
    fill_normal(in, 1);
    run(threads, kCutRows, kCutCols, [&](ExecContext& ctx) {
      convert(ctx, half.ref(), ConstMatrixRef(in.ref()));
      convert(ctx, back.ref(), ConstMatrix<bf16>(half.ref()));
    });
    return back.values();
  }));
}

TEST_CASE("a conversion between matrices of one type is a copy") {
  GuardedMatrix x(kCutRows, 9, 3), y(kCutRows, 9, 1);
  Halves half(kCutRows, 9, 3), other(kCutRows, 9, 1);
  fill_normal(x, 1);
  half.fill([](Index i, Index j) { return static_cast<double>(i * j % 100); });
  run(3, kCutRows, 9, [&](ExecContext& ctx) {
    convert(ctx, y.ref(), x.ref());
    convert(ctx, other.ref(), half.ref());
  });
  REQUIRE((y.intact() && other.intact()));
  REQUIRE(compare_equal(y.values(), x.values()));
  REQUIRE(compare(kCutRows * 9, [&](Index e) {
    return Element{to_float(other(e / 9, e % 9)), to_float(half(e / 9, e % 9))};
  }));
}

TEST_CASE("conversions: nothing to do, and broken contracts") {
  GuardedMatrix x(2, 4), wide(2, 5);
  Halves half(2, 4);
  run(1, 2, 4, [&](ExecContext& ctx) {
    convert(ctx, Matrix<bf16>{}, ConstMatrixRef{});
    convert(ctx, MatrixRef(x.data(), 3, 0), ConstMatrix<bf16>(half.data(), 3, 0));
    REQUIRE_THROWS_AS(convert(ctx, half.ref(), ConstMatrixRef(wide.ref())), ContractError);
    REQUIRE_THROWS_AS(convert(ctx, wide.ref(), ConstMatrix<bf16>(half.ref())), ContractError);
    REQUIRE_THROWS_AS(convert(ctx, half.ref(), ConstMatrixRef(x.ref()).transposed()), ContractError);
  });
  REQUIRE((x.intact() && half.intact()));
}
