// How one ISA stores keys and values: int8 with the bytes of plain loops, and what becomes of numbers that int8 lacks.
#include "kernels/key_values.hpp"

#include <bit>
#include <limits>

#include "base/check.hpp"
#include "kernels/reference/key_values.hpp"
#include "kernels/stored_attention_problem.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;
using reference::QuantizedLine;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

template <class T>
std::vector<float> head_of(const GuardedMatrixOf<T>& x, Index row, Index head, Index size) {
  std::vector<float> values;
  for (Index d = 0; d < size; ++d) values.push_back(static_cast<float>(to_double(x(row, head * size + d))));
  return values;
}

// Every byte as the plain loops have it.
template <class T>
void check_stored(const GuardedMatrixOf<T>& from, const StoredRows& stored, Index size) {
  REQUIRE(stored.intact());
  for (Index i = 0; i < from.rows(); ++i) {
    for (Index h = 0; h < from.cols() / size; ++h) {
      CAPTURE(i, h);
      const QuantizedLine line = reference::store_head_ref(head_of(from, i, h, size));
      REQUIRE(std::bit_cast<std::uint32_t>(stored.scale(i, h)) == std::bit_cast<std::uint32_t>(line.scale));
      for (Index d = 0; d < size; ++d)
        REQUIRE(stored.q(i, h * size + d) == line.q[static_cast<std::size_t>(d)]);
    }
  }
}

template <class T>
struct NormalMatrix : GuardedMatrixOf<T> {
  NormalMatrix(Index rows, Index cols, int seed) : GuardedMatrixOf<T>(rows, cols, 3, 1) {
    const auto values = normal_values(rows * cols, seed);
    this->fill(
        [&](Index i, Index j) { return values[static_cast<std::size_t>(i * cols + j)] * double(1 + i % 7); });
  }
};

}  // namespace

TEMPLATE_TEST_CASE("int8 has the bytes of plain loops", "", float, bf16) {
  for (const Index size : {1, 2, 8, 16, 20, 33, 64, 128}) {
    for (const Index heads : {1, 3}) {
      for (const Index rows : {0, 1, 2, 70, 300}) {
        CAPTURE(size, heads, rows);
        const NormalMatrix<TestType> x(rows, heads * size, 5);
        StoredRows one(rows, heads, size), many(rows, heads, size);
        one.store(x.ref());
        check_stored(x, one, size);
        many.store(x.ref(), 4);
        REQUIRE(many.bytes() == one.bytes());
      }
    }
  }
}

TEST_CASE("a stored number is within half a step of itself, and the largest of a head is 127 steps") {
  const NormalMatrix<float> x(50, 2 * 24, 9);
  StoredRows stored(50, 2, 24);
  stored.store(x.ref());
  REQUIRE(compare(50 * 48, [&](Index e) {
    const Index i = e / 48, j = e % 48;
    return Element{stored(i, j), double(x(i, j)), stored.scale(i, j / 24) * (0.5 + 0x1p-15)};
  }));
  for (Index i = 0; i < 50; ++i) {
    for (const Index h : {0, 1}) {
      int most = 0;
      for (Index d = 0; d < 24; ++d) most = std::max(most, std::abs(int(stored.q(i, h * 24 + d))));
      REQUIRE(most == 127);
    }
  }
}

TEST_CASE("zeros are zero, and so is a head below 2^-119") {
  GuardedMatrix x(3, 2 * 17, 2);
  x.fill([](Index i, Index j) { return i == 1 ? 0x1.fp-120 * (j % 2 == 0 ? 1 : -1) : 0.0; });
  x(2, 3) = 0x1p-119f;  // its head's scale is a normal number, and it has 127 of it
  StoredRows stored(3, 2, 17);
  stored.store(x.ref());
  check_stored(x, stored, 17);
  for (Index j = 0; j < 2 * 17; ++j) {
    REQUIRE(stored(0, j) == 0.0);
    REQUIRE(stored(1, j) == 0.0);
    if (j != 3) REQUIRE(stored(2, j) == 0.0);
  }
  REQUIRE(stored.q(2, 3) == 127);
  REQUIRE(stored.scale(2, 0) >= std::numeric_limits<float>::min());
}

TEST_CASE("what is not finite makes its own head NaN and no other") {
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    for (const Index at : {0, 7, 15, 16, 19}) {  // in whole vectors and behind them
      CAPTURE(bad, at);
      NormalMatrix<float> x(2, 3 * 20, 4);
      x(1, 20 + at) = bad;
      StoredRows stored(2, 3, 20);
      stored.store(x.ref());
      check_stored(x, stored, 20);
      for (Index i = 0; i < 2; ++i)
        for (Index j = 0; j < 3 * 20; ++j) REQUIRE(std::isnan(stored(i, j)) == (i == 1 && j / 20 == 1));
    }
  }
}

TEMPLATE_TEST_CASE("float32 and bfloat16 are converted as everywhere", "", float, bf16) {
  const NormalMatrix<float> x(9, 40, 3);
  GuardedMatrixOf<TestType> out(9, 40, 5);
  Scratch scratch;
  ExecContext ctx{test_table(), 1, scratch};
  const KeyValueType type = key_value_type(float_type_of<TestType>());
  store_key_values(ctx, {out.data(), type, 9, 40, out.ref().row_stride}, x.ref(), 20);
  REQUIRE(out.intact());
  for (Index i = 0; i < 9; ++i)
    for (Index j = 0; j < 40; ++j)
      REQUIRE(to_double(out(i, j)) == to_double(from_double<TestType>(double(x(i, j)))));
}

TEST_CASE("what cannot be stored is refused") {
  const NormalMatrix<float> x(4, 40, 3);
  StoredRows stored(4, 2, 20);
  Scratch scratch(1 << 16), none;
  ExecContext ctx{test_table(), 1, scratch}, without{test_table(), 1, none},
      threadless{test_table(), 0, scratch};
  const KeyValueMatrix out = stored.matrix();
  REQUIRE_NOTHROW(store_key_values(ctx, out, x.ref(), 20));
  REQUIRE_THROWS_AS(store_key_values(ctx, out, x.ref(), 16), ContractError);
  REQUIRE_THROWS_AS(store_key_values(ctx, out, x.ref(), 0), ContractError);
  REQUIRE_THROWS_AS(store_key_values(ctx, out, x.ref(), -20), ContractError);
  REQUIRE_THROWS_AS(store_key_values(ctx, out.rows_from(1, 3), x.ref(), 20), ContractError);
  REQUIRE_THROWS_AS(store_key_values(without, out, x.ref(), 20), ContractError);
  REQUIRE_THROWS_AS(store_key_values(threadless, out, x.ref(), 20), ContractError);
  KeyValueMatrix close = out;
  close.row_stride = 47;  // two heads of 20 + 4 bytes
  REQUIRE_THROWS_WITH(store_key_values(ctx, close, x.ref(), 20), Catch::Matchers::Contains("overlap"));
}
