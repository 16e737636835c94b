#include "kernels/weight_only.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/check.hpp"
#include "kernels/gemm_operand.hpp"
#include "kernels/isa.hpp"
#include "kernels/reference/weight_only.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/isa.hpp"

using namespace loglog;
using namespace loglog::kernels;
using loglog::testing::compare;
using loglog::testing::Element;
using loglog::testing::GuardedMatrix;
using loglog::testing::hash;
using loglog::testing::Operand;
using loglog::testing::random_value;
using reference::quantize_group_ref;
using reference::QuantizedGroup;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Weights whose size changes from row to row and from column to column.
double weight_value(Index k, Index j) {
  return (random_value(k + 400, j) + 0.3) * std::exp2(static_cast<double>(hash(k / 3, j) % 7) - 5.0);
}

struct Form {
  int bits;
  GroupRange range;
};
constexpr Form kForms[] = {
    {8, GroupRange::absmax}, {8, GroupRange::zeropoint}, {4, GroupRange::absmax}, {4, GroupRange::zeropoint}};

// Groups of one row, of odd and of even size, that end with the matrix or not, on both sides of a block of K (256), and the whole.
std::vector<Index> groups_of(Index k) {
  std::vector<Index> groups;
  for (const Index group : {Index{1}, Index{3}, Index{32}, Index{64}, Index{255}, Index{300}, k})
    if (group <= std::max<Index>(k, 1) && (groups.empty() || groups.back() < group)) groups.push_back(group);
  return groups;
}

int stored_q(const GroupedColumns& w, Index k, Index j) {
  if (w.bits == 8) return w.q[j * w.rows + k];
  const int byte = w.q[j * ceil_div(w.rows, 2) + k / 2];
  return k % 2 == 0 ? byte & 15 : byte >> 4;
}

// W' (K,N) by the definition of the header.
struct Dequantized : GuardedMatrix {
  explicit Dequantized(const GroupedColumns& w) : GuardedMatrix(w.rows, w.cols) {
    fill([&](Index k, Index j) {
      const Index at = j * w.groups() + k / w.group;
      return w.scale[at] * static_cast<float>(stored_q(w, k, j) - w.zero[at]);
    });
  }
};

std::vector<float> multiply(int threads, ConstMatrixRef a, const WeightOnlyMatrix& w,
                            const GemmEpilogue& epilogue = {}) {
  GuardedMatrix c(a.rows, w.cols(), 2, 1);
  Scratch scratch(gemm_weight_only_scratch_bytes(test_table(), threads, a.rows, w.cols(), w.rows()));
  ExecContext ctx{test_table(), threads, scratch};
  gemm_weight_only(ctx, a, w, c.ref(), epilogue);
  REQUIRE(c.intact());
  return c.values();
}

std::vector<float> multiply_float(ConstMatrixRef a, ConstMatrixRef w, const GemmEpilogue& epilogue = {}) {
  GuardedMatrix c(a.rows, w.cols);
  Scratch scratch(gemm_scratch_bytes(test_table(), 1, a.rows, w.cols, w.rows, Weights::packed));
  ExecContext ctx{test_table(), 1, scratch};
  gemm(ctx, a, PackedMatrix<float>(test_table(), w), c.ref(), Accumulate::no, epilogue);
  return c.values();
}

// Bits, of which compare_equal sees all but the sign of 0 and what a NaN carries.
bool same_bits(const std::vector<float>& x, const std::vector<float>& y) {
  const auto bits = [](float value) { return std::bit_cast<std::uint32_t>(value); };
  return std::ranges::equal(x, y, {}, bits, bits);
}

void check_quantized(ConstMatrixRef w, const Form& form, Index group) {
  INFO("bits " << form.bits << " zeropoint " << (form.range == GroupRange::zeropoint) << " K " << w.rows
               << " group " << group);
  const GroupedColumns columns = quantize_groups(w, form.bits, group, form.range);
  REQUIRE((columns.rows == w.rows && columns.cols == w.cols));
  REQUIRE((columns.bits == form.bits && columns.group == group));
  for (Index j = 0; j < w.cols; ++j) {
    for (Index first = 0; first < w.rows; first += group) {
      std::vector<float> part;
      for (Index k = first; k < std::min(w.rows, first + group); ++k)
        part.push_back(w.data[k * w.row_stride + j * w.col_stride]);
      const QuantizedGroup expected = quantize_group_ref(form.range, form.bits, part);
      const Index at = j * columns.groups() + first / group;
      REQUIRE(columns.scale[at] == expected.scale);
      REQUIRE(int{columns.zero[at]} == expected.zero);
      for (std::size_t i = 0; i < part.size(); ++i)
        REQUIRE(stored_q(columns, first + static_cast<Index>(i), j) == expected.q[i]);
    }
  }
}

}  // namespace

TEST_CASE("groups are quantised as the reference does, bit for bit", "[weight_only]") {
  for (const Form& form : kForms) {
    for (const Index k : {1, 2, 33, 70}) {
      for (const bool transposed : {false, true}) {
        const Operand<float> w(k, 37, transposed, 3, 1, weight_value);
        for (const Index group : groups_of(k)) check_quantized(w.ref(), form, group);
      }
    }
  }
}

TEST_CASE("halves go to even; zeros, tiny and one-sided groups have their values", "[weight_only]") {
  const std::vector<std::vector<double>> columns = {{127, 0.5, 1.5, 2.5, -0.5, -1.5, -126.5, 126.5},
                                                    {7, 0.5, 1.5, 2.5, -0.5, -1.5, -6.5, 6.5},
                                                    {381, 4.5, -4.5, 7.5, 1.5, -1.5, 379.5, -379.5},
                                                    {0, 0, 0, 0, 0, 0, 0, 0},
                                                    {1e-38, -1e-38, 0, 0, 1e-40, 0, 0, 0},
                                                    {5, 1, 2, 3, 4, 5, 1, 2},
                                                    {-5, -1, -2, -3, -4, -5, -1, -2},
                                                    {1.5e38, -1.5e38, 1e38, 0, -1e38, 1, 3, -7},
                                                    {255, 0, 0.5, 1.5, 254.5, 127.5, 3, 4},
                                                    {-127.5, 127.5, 0, 1, -1, 100, -100, 3}};
  GuardedMatrix w(8, static_cast<Index>(columns.size()));
  w.fill([&](Index k, Index j) { return columns[j][k]; });
  for (const Form& form : kForms) check_quantized(w.ref(), form, 8);

  const auto expect = [&](const Form& form, Index column, const std::vector<int>& q) {
    const GroupedColumns got = quantize_groups(w.ref(), form.bits, 8, form.range);
    for (Index k = 0; k < 8; ++k) REQUIRE(stored_q(got, k, column) == q[k]);
    return QuantizedGroup{{}, got.scale[column], got.zero[column]};
  };
  expect(kForms[0], 0, {255, 128, 130, 130, 128, 126, 2, 254});
  expect(kForms[2], 1, {15, 8, 10, 10, 8, 6, 2, 14});
  expect(kForms[0], 2, {255, 130, 126, 130, 128, 128, 254, 2});  // halves of a scale of 3
  for (const Index nothing : {3, 4}) {
    for (const Form& form : kForms) {
      const int middle = form.bits == 8 ? 128 : 8;
      REQUIRE(expect(form, nothing, std::vector<int>(8, middle)).scale == 0.0f);
    }
  }
  REQUIRE(expect(kForms[1], 5, {255, 51, 102, 153, 204, 255, 51, 102}).zero == 0);
  REQUIRE(expect(kForms[3], 6, {0, 12, 9, 6, 3, 0, 12, 9}).zero == 15);
  REQUIRE(expect(kForms[1], 9, {0, 255, 128, 129, 127, 228, 28, 131}).zero == 128);  // 255.5 both
}

TEST_CASE("what the bits stand for is within the bound of the header", "[weight_only]") {
  const Index rows = 130, cols = 21;
  GuardedMatrix w(rows, cols);
  w.fill(weight_value);
  for (const Form& form : kForms) {
    for (const Index group : groups_of(rows)) {
      const GroupedColumns columns = quantize_groups(w.ref(), form.bits, group, form.range);
      const Dequantized seen(columns);
      Index outside = 0;
      for (Index j = 0; j < cols; ++j) {
        for (Index k = 0; k < rows; ++k) {
          const double scale = columns.scale[j * columns.groups() + k / group];
          outside += !(std::abs(double{w(k, j)} - seen(k, j)) <= scale * (0.5 + 0x1p-14));
        }
      }
      REQUIRE(outside == 0);
    }
  }
}

TEST_CASE("columns come back from their panels", "[weight_only]") {
  const Index cols = 2 * test_table().gemm_f32->nr + 1;
  for (const Form& form : kForms) {
    for (const Index rows : {0, 1, 67, 300}) {
      GuardedMatrix w(rows, cols);
      w.fill(weight_value);
      for (const Index group : groups_of(rows)) {
        INFO("bits " << form.bits << " K " << rows << " group " << group);
        const GroupedColumns columns = quantize_groups(w.ref(), form.bits, group, form.range);
        const WeightOnlyMatrix packed(test_table(), columns);
        REQUIRE(packed.bytes() == WeightOnlyMatrix::bytes(test_table(), rows, cols, form.bits, group));
        const Dequantized expected(columns);
        std::vector<float> column(static_cast<std::size_t>(rows));
        for (Index j = 0; j < cols && rows > 0; ++j) {
          packed.copy_column(column.data(), j);
          REQUIRE(compare(rows, [&](Index k) { return Element{column[k], expected(k, j)}; }));
        }
      }
    }
  }
}

TEST_CASE("matrices of fewer bits take less memory", "[weight_only]") {
  const auto share = [](int bits, Index group) {
    return static_cast<double>(WeightOnlyMatrix::bytes(test_table(), 4096, 4800, bits, group)) /
           (4096.0 * 4800.0 * sizeof(float));
  };
  REQUIRE(share(8, 4096) < 0.2504);
  REQUIRE(share(4, 4096) < 0.1254);
  REQUIRE(share(4, 64) < 0.1446);  // 5 bytes more for 64 weights
}

TEST_CASE("the leaves unpack any steps of a panel", "[weight_only]") {
  const int nr = test_table().gemm_f32->nr;
  const Index rows = 70;
  GuardedMatrix w(rows, nr);
  w.fill(weight_value);
  for (const Form& form : kForms) {
    for (const Index group : groups_of(rows)) {
      const GroupedColumns columns = quantize_groups(w.ref(), form.bits, group, form.range);
      const Dequantized expected(columns);
      const WeightOnlyMatrix packed(test_table(), columns);
      for (const Index first : {0, 1, 2, 31, 68, 69}) {
        for (const Index steps : {Index{1}, Index{2}, Index{7}, rows}) {
          if (first + steps > rows) continue;
          INFO("bits " << form.bits << " group " << group << " steps " << first << " + " << steps);
          GuardedMatrix out(steps, nr);
          const WeightOnly& kernel = *test_table().weight_only;
          (form.bits == 8 ? kernel.bits_8 : kernel.bits_4).unpack(out.data(), packed.panel(0), first, steps);
          REQUIRE(out.intact());
          REQUIRE(compare(steps * nr, [&](Index e) {
            return Element{out(e / nr, e % nr), expected(first + e / nr, e % nr)};
          }));
        }
      }
    }
  }
}

TEST_CASE("products have the bits of the float product with what the bits stand for, around every edge",
          "[weight_only]") {
  const GemmF32& tile = *test_table().gemm_f32;
  const Index mr = tile.mr, nr = tile.nr;
  for (const Index k : {0, 1, 2, 37, 300}) {
    for (const Index n : {Index{0}, Index{1}, nr - 1, nr, 2 * nr + 1}) {
      const Operand<float> w(k, n, k % 2 == 1, 0, 0, weight_value);
      for (const Form& form : kForms) {
        for (const Index group : groups_of(k)) {
          const GroupedColumns columns = quantize_groups(w.ref(), form.bits, group, form.range);
          const WeightOnlyMatrix packed(test_table(), columns);
          const Dequantized seen(columns);
          for (const Index m : {Index{0}, Index{1}, Index{3}, Index{4}, mr, mr + 1, Index{16}, Index{17}}) {
            INFO("M " << m << " N " << n << " K " << k << " bits " << form.bits << " group " << group);
            const Operand<float> a(m, k, m % 2 == 1 && m > 1, 3, 1, random_value);
            REQUIRE(same_bits(multiply(m % 2 == 0 ? 1 : 2, a.ref(), packed),
                              multiply_float(a.ref(), seen.ref())));
          }
        }
      }
    }
  }
}

TEST_CASE("bits depend neither on threads nor on the number of rows, across cache blocks",
          "[weight_only][large]") {
  struct Shape {
    Index m, n, k, group;
    bool transposed;
  };
  // M at 16 and 144, N at 2048 and K at 256 are edges of blocks; the last two split K, since A is transposed.
  for (const Shape& s :
       {Shape{200, 300, 600, 64, false}, Shape{3, 2100, 300, 300, false}, Shape{40, 2100, 520, 32, false},
        Shape{290, 65, 257, 100, true}, Shape{33, 40, 4200, 128, true}, Shape{16, 33, 6200, 33, true}}) {
    const Operand<float> a(s.m, s.k, s.transposed, 0, 0, random_value);
    GuardedMatrix w(s.k, s.n);
    w.fill(weight_value);
    for (const Form& form : {kForms[0], kForms[3]}) {
      INFO(s.m << " x " << s.n << " x " << s.k << ", bits " << form.bits);
      const GroupedColumns columns = quantize_groups(w.ref(), form.bits, s.group, form.range);
      const WeightOnlyMatrix packed(test_table(), columns);
      const std::vector<float> expected = multiply_float(a.ref(), Dequantized(columns).ref());
      for (const int threads : {1, 2, 3, 7}) REQUIRE(same_bits(multiply(threads, a.ref(), packed), expected));
      if (s.transposed) continue;  // where K is split by the number of rows too
      for (const Index rows : {1, 2}) {
        const std::vector<float> alone =
            multiply(1, {a.ref().row(s.m - rows), rows, s.k, a.ref().row_stride}, packed);
        REQUIRE(same_bits(alone, {expected.end() - rows * s.n, expected.end()}));
      }
    }
  }
}

TEST_CASE("epilogues of weight-only products have the bits of the float product's", "[weight_only]") {
  const Index n = 77;
  for (const Index m : {3, 31}) {
    for (const Index k : {0, 40, 600}) {
      INFO("M " << m << " K " << k);
      GuardedMatrix a(m, k), w(k, n), bias(1, n), factor(m, n, 5, 1), residual(m, n, 7, 1), slope(m, n, 4),
          expected_slope(m, n);
      a.fill([](Index i, Index p) { return 0.1 * random_value(i, p); });
      w.fill(weight_value);
      bias.fill([](Index, Index j) { return random_value(7, j); });
      factor.fill([](Index i, Index j) { return random_value(i + 900, j); });
      residual.fill([](Index i, Index j) { return random_value(i + 500, j); });
      const GroupedColumns columns = quantize_groups(w.ref(), 8, std::max<Index>(k, 1), GroupRange::absmax);
      const WeightOnlyMatrix packed(test_table(), columns);
      const Dequantized seen(columns);
      const auto epilogue = [&](GuardedMatrix& slope_of) {
        return GemmEpilogue{bias.data(), Activation::gelu, slope_of.ref(), factor.ref(), residual.ref()};
      };
      const std::vector<float> expected = multiply_float(a.ref(), seen.ref(), epilogue(expected_slope));
      REQUIRE(same_bits(multiply(2, a.ref(), packed, epilogue(slope)), expected));
      REQUIRE((slope.intact() && same_bits(slope.values(), expected_slope.values())));

      // C as its own residual.
      Scratch scratch(gemm_weight_only_scratch_bytes(test_table(), 2, m, n, k));
      ExecContext ctx{test_table(), 2, scratch};
      GuardedMatrix c(m, n), float_c(m, n);
      for (GuardedMatrix* each : {&c, &float_c})
        each->fill([](Index i, Index j) { return random_value(j, i); });
      GemmEpilogue own = {.bias = bias.data()};
      own.residual = c.ref();
      gemm_weight_only(ctx, a.ref(), packed, c.ref(), own);
      own.residual = float_c.ref();
      Scratch float_scratch(gemm_scratch_bytes(test_table(), 1, m, n, k));
      ExecContext float_ctx{test_table(), 1, float_scratch};
      gemm(float_ctx, a.ref(), seen.ref(), float_c.ref(), Accumulate::no, own);
      REQUIRE(same_bits(c.values(), float_c.values()));
    }
  }
}

TEST_CASE("a NaN or an infinity reaches its row and no other; a column of zeros is exactly 0",
          "[weight_only]") {
  for (const Form& form : kForms) {
    GuardedMatrix a(40, 20), w(20, 50);
    a.fill([](Index i, Index p) {
      return p != 3 ? 1.0 : i == 17 ? std::nan("") : i == 20 ? kInfinity : 2.0;
    });
    w.fill([](Index k, Index j) { return j == 5 ? 0.0 : 1.0 + static_cast<double>(k % 2); });
    const WeightOnlyMatrix packed(test_table(), quantize_groups(w.ref(), form.bits, 7, form.range));
    const std::vector<float> c = multiply(1, a.ref(), packed);
    for (Index i = 0; i < 40; ++i) {
      for (Index j = 0; j < 50; ++j) {
        INFO("row " << i << " column " << j);
        const float value = c[i * 50 + j];
        if (i == 17 || (i == 20 && j == 5))
          REQUIRE(std::isnan(value));  // infinity times 0 is one
        else if (i == 20)
          REQUIRE(value == kInfinity);
        else
          REQUIRE((j == 5 ? value == 0.0f : std::isfinite(value)));
      }
    }
  }
}

TEST_CASE("a broken contract of weight-only products is refused", "[weight_only]") {
  GuardedMatrix a(8, 8), w(8, 8), c(8, 8);
  a.fill(random_value);
  w.fill(random_value);
  const WeightOnlyMatrix packed(test_table(), quantize_groups(w.ref(), 8, 8, GroupRange::absmax));
  const std::size_t bytes = gemm_weight_only_scratch_bytes(test_table(), 1, 8, 8, 8);
  Scratch scratch(bytes), small(bytes - kCacheLineBytes);
  ExecContext ctx{test_table(), 1, scratch}, poor{test_table(), 1, small};
  REQUIRE_NOTHROW(gemm_weight_only(ctx, a.ref(), packed, c.ref()));
  REQUIRE_THROWS_AS(gemm_weight_only(poor, a.ref(), packed, c.ref()), ContractError);
  REQUIRE_THROWS_AS(gemm_weight_only(ctx, {a.data(), 8, 7}, packed, c.ref()), ContractError);
  REQUIRE_THROWS_AS(gemm_weight_only(ctx, {a.data(), 7, 8}, packed, c.ref()), ContractError);
  REQUIRE_THROWS_AS(gemm_weight_only(ctx, a.ref(), packed, c.ref().columns(0, 7)), ContractError);
  REQUIRE_THROWS_AS(gemm_weight_only(ctx, a.ref(), packed, {c.data(), 8, 8, 7}), ContractError);
  GemmEpilogue own;
  own.activation = Activation::gelu;
  own.residual = c.ref();
  REQUIRE_THROWS_AS(gemm_weight_only(ctx, a.ref(), packed, c.ref(), own), ContractError);
  ctx.threads = 0;
  REQUIRE_THROWS_AS(gemm_weight_only(ctx, a.ref(), packed, c.ref()), ContractError);
  ctx.threads = 1;
  for (const IsaRow& isa : isa_rows()) {
    const WeightOnlyMatrix of_isa(*isa.table, quantize_groups(w.ref(), 8, 8, GroupRange::absmax));
    if (isa.table->gemm_f32->nr == test_table().gemm_f32->nr)
      REQUIRE_NOTHROW(gemm_weight_only(ctx, a.ref(), of_isa, c.ref()));
    else
      REQUIRE_THROWS_AS(gemm_weight_only(ctx, a.ref(), of_isa, c.ref()), ContractError);
  }
}

TEST_CASE("weights that cannot be quantised are refused", "[weight_only]") {
  GuardedMatrix w(8, 5);
  w.fill(random_value);
  const auto quantize = [&](int bits, Index group) {
    return quantize_groups(w.ref(), bits, group, GroupRange::absmax);
  };
  for (const int bits : {8, 4}) REQUIRE_NOTHROW(quantize(bits, 8));
  for (const int bits : {0, 3, 5, 16, -8}) REQUIRE_THROWS_AS(quantize(bits, 8), ContractError);
  for (const Index group : {0, -1, 9}) REQUIRE_THROWS_AS(quantize(8, group), ContractError);
  REQUIRE_THROWS_AS(quantize_groups({w.data(), -8, 5}, 8, 1, GroupRange::absmax), ContractError);
  REQUIRE_THROWS_AS(quantize_groups({w.data(), 8, -5}, 8, 1, GroupRange::absmax), ContractError);
  REQUIRE_NOTHROW(quantize_groups({w.data(), 0, 5}, 4, 1, GroupRange::absmax));
  for (const float bad : {kInfinity, -kInfinity, std::nanf("")}) {
    w(3, 4) = bad;
    REQUIRE_THROWS_WITH(quantize(4, 2), Catch::Matchers::Contains("row 3, column 4"));
  }
}

TEST_CASE("columns of groups whose parts disagree are refused", "[weight_only]") {
  GuardedMatrix w(7, 5);
  w.fill(random_value);
  for (const int bits : {8, 4}) {
    const GroupedColumns good = quantize_groups(w.ref(), bits, 3, GroupRange::zeropoint);
    const auto refused = [&](const auto& damage) {
      GroupedColumns bad = good;
      damage(bad);
      REQUIRE_THROWS_AS(WeightOnlyMatrix(test_table(), bad), ContractError);
    };
    REQUIRE_NOTHROW(WeightOnlyMatrix(test_table(), good));
    refused([](GroupedColumns& c) { c.q.pop_back(); });
    refused([](GroupedColumns& c) { c.scale.pop_back(); });
    refused([](GroupedColumns& c) { c.zero.push_back(0); });
    refused([](GroupedColumns& c) { c.scale[4] = std::nanf(""); });
    refused([](GroupedColumns& c) { c.group = 0; });
    refused([](GroupedColumns& c) { c.group = 8; });
    refused([](GroupedColumns& c) { c.bits = 12 - c.bits; });
    refused([](GroupedColumns& c) { c.rows = -7; });
    refused([](GroupedColumns& c) { c.cols = 6; });
    if (bits == 4) refused([](GroupedColumns& c) { c.zero[2] = 16; });
  }
}
