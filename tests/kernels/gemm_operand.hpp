// Operands of the tests of matrix products, and the sums that they should give.
#pragma once
#include <cmath>

#include "base/check.hpp"
#include "kernels/gemm.hpp"
#include "kernels/isa.hpp"
#include "kernels/packed_matrix.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/guarded_buffer.hpp"
#include "support/isa.hpp"

namespace loglog::testing {

// Deterministic values without a library: hash of the position.
inline std::uint32_t hash(Index i, Index j) {
  auto x = static_cast<std::uint32_t>(i * 40503 + j * 9973 + 17);
  x = (x ^ (x >> 15)) * 0x2c1b3c6du;
  return x ^ (x >> 12);
}
inline double integer_value(Index i, Index j) {
  return static_cast<double>(hash(i, j) % 9) - 4.0;
}
// Sum of three uniforms: near enough to normal, with zero mean.
inline double random_value(Index i, Index j) {
  double sum = 0.0;
  for (Index part = 0; part < 3; ++part)
    sum += static_cast<double>(hash(i + 1000 * part, j) % 65536) / 32768.0 - 1.0;
  return sum;
}

// A matrix with canaries between and around its rows, stored as it is or transposed.
template <class T>
struct Operand {
  bool transposed;
  GuardedMatrixOf<T> stored;
  template <class Value>
  Operand(Index rows, Index cols, bool t, Index gap, Index offset, Value&& value)
      : transposed(t), stored(t ? cols : rows, t ? rows : cols, gap, offset) {
    stored.fill([&](Index i, Index j) { return t ? value(j, i) : value(i, j); });
  }
  kernels::ConstMatrix<T> ref() const {
    const kernels::ConstMatrix<T> r = stored.ref();
    return transposed ? r.transposed() : r;
  }
  double operator()(Index i, Index j) const { return to_double(transposed ? stored(j, i) : stored(i, j)); }
};

struct Sum {
  double value = 0.0, absolute = 0.0;
};
template <class T>
Sum exact_sum(const Operand<T>& a, const Operand<T>& b, Index i, Index j) {
  Sum sum;
  for (Index p = 0; p < a.ref().cols; ++p) {
    const double product = a(i, p) * b(p, j);
    sum.value += product;
    sum.absolute += std::abs(product);
  }
  return sum;
}

// A product of value(i, j) in both operands, either of them stored transposed (bits of `transposes`), whose sums are exact:
// multiply(a, b, c) makes c, on top of small integers when `accumulate`.
template <class T, class C, class Value, class Multiply>
void check_exact_product(Index m, Index n, Index k, int transposes, kernels::Accumulate accumulate,
                         Value&& value, Multiply&& multiply) {
  INFO("M " << m << " N " << n << " K " << k << " transposes " << transposes);
  const Operand<T> a(m, k, (transposes & 1) != 0, 3, 1, value), b(k, n, (transposes & 2) != 0, 5, 1, value);
  GuardedMatrixOf<C> c(m, n, 2, 1);
  const bool add = accumulate == kernels::Accumulate::yes;
  const auto before = [](Index i, Index j) { return static_cast<double>(i % 5 + j % 3); };
  if (add) c.fill(before);
  multiply(a, b, c);
  if (m * n == 0) return;
  REQUIRE(compare(m * n, [&](Index e) {
    const Index i = e / n, j = e % n;
    return Element{to_double(c(i, j)), exact_sum(a, b, i, j).value + (add ? before(i, j) : 0.0)};
  }));
}

// check(m, n, k, transposes) for all m and n up to two tiles and one more, while k takes turns from 1 to 2 depth + 1.
template <class Check>
void for_sizes_around_tiles(Index mr, Index nr, Index depth, Check&& check) {
  Index product = 0;
  for (Index m = 1; m <= 2 * mr + 1; ++m) {
    for (Index n = 1; n <= 2 * nr + 1; ++n, ++product)
      check(m, n, product % (2 * depth + 1) + 1, static_cast<int>(product / 3 % 4));
  }
}

// Batches with exact sums: operands side by side in wider matrices as heads of attention are, or one behind the other, or
// a B that all products share. multiply(threads, batch, a, b, c, accumulate) takes views of the first product.
template <class T, class C, class Multiply>
void check_batches(Multiply&& multiply) {
  struct Shape {
    Index count, m, n, k;
  };
  for (const Shape& s : {Shape{0, 3, 4, 5}, Shape{1, 13, 21, 34}, Shape{3, 13, 21, 34}, Shape{5, 1, 40, 9},
                         Shape{3, 150, 70, 200}, Shape{2, 7, 5, 0}}) {
    for (const bool side_by_side : {false, true}) {
      for (const bool shared_b : {false, true}) {
        INFO("count " << s.count << " M " << s.m << " N " << s.n << " K " << s.k << " side by side "
                      << side_by_side << " shared " << shared_b);
        const Index across = side_by_side ? s.count : 1, down = side_by_side ? 1 : s.count;
        const Operand<T> a(down * s.m, across * s.k, false, 1, 0, integer_value);
        const Operand<T> b(shared_b ? s.k : down * s.k, shared_b ? s.n : across * s.n, false, 2, 0,
                           [](Index i, Index j) { return integer_value(i + 91, j); });
        const auto view = [](const Operand<T>& x, Index rows, Index cols) {
          return kernels::ConstMatrix<T>(x.stored.data(), rows, cols, x.ref().row_stride);
        };
        for (const int threads : {1, 2, 3}) {
          GuardedMatrixOf<C> c(down * s.m, across * s.n, 3);
          const auto before = [](Index i, Index j) { return static_cast<double>(i % 7 - j % 5); };
          c.fill(before);
          const Index c_row = across * s.n + 3;
          const kernels::GemmBatch batch = {.count = s.count,
                                            .a_step = side_by_side ? s.k : s.m * a.ref().row_stride,
                                            .b_step = shared_b       ? 0
                                                      : side_by_side ? s.n
                                                                     : s.k * b.ref().row_stride,
                                            .c_step = side_by_side ? s.n : s.m * c_row};
          const bool add = threads == 2;
          multiply(threads, batch, view(a, s.m, s.k), view(b, s.k, s.n),
                   kernels::Matrix<C>(c.data(), s.m, s.n, c_row),
                   add ? kernels::Accumulate::yes : kernels::Accumulate::no);
          REQUIRE(c.intact());
          if (s.count == 0) continue;
          REQUIRE(compare(s.count * s.m * s.n, [&](Index e) {
            const Index product = e / (s.m * s.n), i = e / s.n % s.m, j = e % s.n;
            const Index row = side_by_side ? 0 : product, col = side_by_side ? product : 0;
            double sum = add ? before(row * s.m + i, col * s.n + j) : 0.0;
            for (Index p = 0; p < s.k; ++p)
              sum += a(row * s.m + i, col * s.k + p) * (shared_b ? b(p, j) : b(row * s.k + p, col * s.n + j));
            return Element{to_double(c(row * s.m + i, col * s.n + j)), sum};
          }));
        }
      }
    }
  }
}

// Sizes below 0 that agree: multiply(ctx, a, b, c) must name the operand and its size.
template <class T, class C, class Multiply>
void check_negative_sizes(Multiply&& multiply) {
  const std::vector<T> ones(64, from_double<T>(1.0));
  std::vector<C> c(64);
  const auto refuses = [&](Index m, Index n, Index k, const auto& text) {
    INFO("M " << m << " N " << n << " K " << k);
    for (const int threads : {1, 2}) {
      kernels::Scratch scratch(1 << 16);
      kernels::ExecContext ctx{test_table(), threads, scratch};
      REQUIRE_THROWS_WITH(
          multiply(ctx, kernels::ConstMatrix<T>(ones.data(), m, k, 8),
                   kernels::ConstMatrix<T>(ones.data(), k, n, 8), kernels::Matrix<C>(c.data(), m, n, 8)),
          text);
    }
  };
  using Catch::Matchers::Contains;
  refuses(-3, 4, 4, Contains("a is -3x4"));
  refuses(3, -4, 4, Contains("b is 4x-4"));
  refuses(3, 4, -3, Contains("a is 3x-3") || Contains("b is -3x4"));
  refuses(3, 4, -4, Contains("a is 3x-4") || Contains("b is -4x4"));
  refuses(-3, -4, 4, Contains("a is -3x4") || Contains("b is 4x-4"));
}

// Rows of C that overlap, where one row has no stride: multiply(ctx, a, b, c). Those of A and B may.
template <class T, class C, class Multiply>
void check_overlapping_rows(Multiply&& multiply) {
  const std::vector<T> ones(64, from_double<T>(1.0));
  std::vector<C> c(64);
  kernels::Scratch scratch(1 << 16);
  kernels::ExecContext ctx{test_table(), 1, scratch};
  const kernels::ConstMatrix<T> a(ones.data(), 3, 4, 0), b(ones.data(), 4, 5, 0);
  const auto run = [&](Index rows, Index stride) {
    multiply(ctx, kernels::ConstMatrix<T>(a.data, rows, 4, 0), b,
             kernels::Matrix<C>(c.data(), rows, 5, stride));
  };
  for (const Index stride : {4, 1, 0, -5}) {
    INFO("row stride " << stride);
    REQUIRE_THROWS_WITH(run(3, stride), Catch::Matchers::Contains("c is 3x5 with row stride"));
  }
  REQUIRE_NOTHROW(run(1, 0));
  REQUIRE_NOTHROW(run(3, 5));
  for (int e = 0; e < 15; ++e) REQUIRE(c[e] == C{4});
}

// Weights that were packed for each ISA in turn: multiply(ctx, a, packed) takes those whose layout is `kernel`'s and
// refuses the others, which it would read wrongly.
template <class T, class Kernel, class Multiply>
void check_foreign_layouts(const kernels::KernelTable& table, const Kernel& kernel, Multiply&& multiply) {
  kernels::Scratch scratch(1 << 16);
  kernels::ExecContext ctx{table, 1, scratch};
  const Operand<T> a(8, 8, false, 0, 0, integer_value), b(8, 8, false, 0, 0, integer_value);
  for (const kernels::IsaRow& isa : kernels::isa_rows()) {
    const kernels::PackedMatrix<T> packed(*isa.table, b.ref());
    if (packed.layout() == layout_of(kernel))
      REQUIRE_NOTHROW(multiply(ctx, a.ref(), packed));
    else
      REQUIRE_THROWS_AS(multiply(ctx, a.ref(), packed), ContractError);
  }
}

// The same panel by panel, the last first; only whole panels are taken.
template <class T>
void check_packed_by_columns(kernels::ExecContext& ctx, kernels::ConstMatrix<float> b,
                             const kernels::PackedMatrix<T>& expected) {
  kernels::PackedMatrix<T> packed(test_table(), b.rows, b.cols);
  const Index nr = packed.layout().nr;
  const auto part = [&](Index first, Index count) {
    return kernels::ConstMatrix<float>(b.data + first * b.col_stride, b.rows, count, b.row_stride,
                                       b.col_stride);
  };
  for (Index first = (b.cols - 1) / nr * nr; first >= 0; first -= nr)
    packed.pack_columns(ctx, first, part(first, std::min(nr, b.cols - first)));
  const Index elements = packed.layout().elements(b.rows, b.cols);
  REQUIRE(std::equal(expected.data(), expected.data() + elements, packed.data(),
                     [](T x, T y) { return to_double(x) == to_double(y); }));
  if (b.cols <= nr) return;
  REQUIRE_THROWS_AS(packed.pack_columns(ctx, 1, part(1, nr)), ContractError);
  REQUIRE_THROWS_AS(packed.pack_columns(ctx, 0, part(0, nr - 1)), ContractError);
  REQUIRE_THROWS_AS(packed.pack_columns(ctx, nr, b), ContractError);
}

// PackedMatrix::pack from float32 gives the elements of one made of rounded weights, over what lay there.
template <class T>
void check_packed_again() {
  for (const bool transposed : {false, true}) {
    for (const auto& shape : {std::pair<Index, Index>{1, 1}, {37, 70}, {64, 131}, {0, 5}}) {
      const Index k = shape.first, n = shape.second;
      INFO("K " << k << " N " << n << (transposed ? ", transposed" : ""));
      const Operand<float> b(k, n, transposed, 3, 1, random_value);
      const Operand<T> rounded(k, n, transposed, 0, 0, random_value);
      const kernels::PackedMatrix<T> expected(test_table(), rounded.ref());
      kernels::PackedMatrix<T> packed(test_table(), k, n);
      for (const int threads : {1, 3}) {
        kernels::Scratch scratch(kernels::pack_scratch_bytes(test_table(), threads, k));
        kernels::ExecContext ctx{test_table(), threads, scratch};
        packed.pack(ctx, b.ref());
        const Index elements = packed.layout().elements(k, n);
        REQUIRE(std::equal(expected.data(), expected.data() + elements, packed.data(),
                           [](T x, T y) { return to_double(x) == to_double(y); }));
        if (k != n) REQUIRE_THROWS_AS(packed.pack(ctx, b.ref().transposed()), ContractError);
        check_packed_by_columns(ctx, b.ref(), expected);
      }
    }
  }
}

}  // namespace loglog::testing
