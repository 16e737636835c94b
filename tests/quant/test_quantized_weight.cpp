// Weights in their forms: each multiplies as the kernel of its form does, to the last bit, in the scratch that it asks for, and is
// planned with the sizes that it has.
#include "quant/quantized_weight.hpp"

#include <array>

#include "base/check.hpp"
#include "base/error.hpp"
#include "kernels/gemm_bf16.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/isa.hpp"
#include "support/random_inputs.hpp"

using namespace loglog;
using namespace loglog::quant;
using namespace loglog::testing;
using Catch::Contains;
using kernels::bf16;
using kernels::FloatType;
using tensor::ConstFloatView;
using tensor::FloatView;

namespace {

constexpr Index kInputs = 67, kOutputs = 45;
const std::vector<Index> kFloatRows = {0, 13, 66};

// Inputs with outliers in two dimensions, one of them now and then.
struct Inputs : GuardedMatrix {
  explicit Inputs(Index rows) : GuardedMatrix(rows, kInputs, 3) {
    fill_normal(*this, 1);
    for (Index i = 0; i < rows; ++i) (*this)(i, 13) = 40.0f + static_cast<float>(i);
    if (rows > 2) (*this)(2, 30) = -7.5f;
  }
};

struct SmallWeight : GuardedMatrix {
  SmallWeight(Index rows, Index cols) : GuardedMatrix(rows, cols) { fill_normal(*this, 2, 0.1); }
};

struct Rounded : GuardedMatrixOf<bf16> {
  explicit Rounded(const GuardedMatrix& x) : GuardedMatrixOf<bf16>(x.rows(), x.cols()) {
    fill([&](Index i, Index j) { return x(i, j); });
  }
};

// A product's operands besides its input, and both results.
struct Product {
  Index rows, cols;
  GuardedMatrix bias, residual;
  GuardedMatrix out, expected;

  Product(Index r, Index n) : rows(r), cols(n), bias(1, n), residual(r, n, 2), out(r, n, 5), expected(r, n) {
    fill_normal(bias, 3), fill_normal(residual, 4);
  }
  kernels::GemmEpilogue epilogue(kernels::Activation activation) const {
    return {.bias = bias.data(), .activation = activation, .residual = residual.ref()};
  }
};

// What the frozen weight gives, in the scratch that it says it needs and no more.
void multiply(const tensor::FrozenWeight& w, int threads, const FloatView& out, const ConstFloatView& in,
              const kernels::GemmEpilogue& epilogue) {
  kernels::Scratch scratch(w.scratch_bytes(test_table(), threads, in.rows));
  kernels::ExecContext ctx{test_table(), threads, scratch};
  w.multiply(ctx, out, in, epilogue);
}

// `expect(x, c, epilogue)` is the kernel's own product of float32. All the ways in which a layer may ask for it.
template <class Expect>
void require_products(const tensor::FrozenWeight& w, FloatType product_type, Expect&& expect) {
  for (const Index rows : {1, 3, 40}) {
    for (const int threads : {1, 3}) {
      CAPTURE(rows, threads);
      const Inputs x(rows);
      const Rounded narrow(x);
      GuardedMatrix widened(rows, kInputs);
      widened.fill([&](Index i, Index j) { return to_double(narrow(i, j)); });
      Product p(rows, kOutputs);
      const kernels::GemmEpilogue epilogue = p.epilogue(kernels::Activation::gelu);
      expect(x, p.expected.ref(), epilogue);
      multiply(w, threads, FloatView(p.out.ref()), x.ref(), epilogue);
      REQUIRE(compare_equal(p.out.values(), p.expected.values()));
      REQUIRE(p.out.intact());

      // The residual that is the result itself.
      Product q(rows, kOutputs);
      // gemm_int8 knows no such residual, and gemm_bf16 adds it to its sums from the beginning.
      kernels::GemmEpilogue in_place = q.epilogue(kernels::Activation::identity);
      if (product_type == FloatType::bfloat16) {
        q.expected.fill([&](Index i, Index j) { return q.residual(i, j); });
        in_place.residual = q.expected.ref();
      }
      expect(x, q.expected.ref(), in_place);
      q.out.fill([&](Index i, Index j) { return q.residual(i, j); });
      multiply(w, threads, FloatView(q.out.ref()), x.ref(), {.bias = q.bias.data(), .residual = q.out.ref()});
      REQUIRE(compare_equal(q.out.values(), q.expected.values()));

      // An input and a result in bfloat16. What is summed in float32 is rounded once.
      expect(widened, p.expected.ref(), epilogue);
      multiply(w, threads, FloatView(p.out.ref()), narrow.ref(), epilogue);
      REQUIRE(compare_equal(p.out.values(), p.expected.values()));
      GuardedMatrixOf<bf16> out(rows, kOutputs, 1);
      multiply(w, threads, FloatView(out.ref()), narrow.ref(), epilogue);
      for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < kOutputs; ++j)
          REQUIRE(out(i, j).bits == kernels::to_bf16(p.expected(i, j)).bits);
      REQUIRE(out.intact());
    }
  }
}

Plan plan_of(std::string_view name, TableForm table = TableForm::f32) {
  return {find_scheme(name), table};
}

}  // namespace

TEST_CASE("a frozen int8 weight multiplies as gemm_int8 with the scheme's options") {
  const SmallWeight w(kInputs, kOutputs);
  for (const Scheme& scheme : schemes()) {
    if (scheme.method != Method::int8) continue;
    for (const bool keeps_rows : {false, true}) {
      CAPTURE(scheme.name, keeps_rows);
      const std::span<const Index> float_rows = keeps_rows ? kFloatRows : std::span<const Index>();
      const Plan plan{scheme};
      const auto frozen =
          freeze(test_table(), plan, Role::linear,
                 *quantize_weight(test_table(), plan, Role::linear, w.ref(), float_rows, "w"), nullptr);
      const kernels::Int8Weights plain(test_table(), w.ref(), scheme.weights, float_rows);
      const kernels::Int8Options options{scheme.inputs, scheme.threshold, scheme.whole_columns};
      require_products(*frozen, FloatType::float32,
                       [&](const GuardedMatrix& x, kernels::MatrixRef c, const kernels::GemmEpilogue& e) {
                         kernels::Scratch scratch(
                             kernels::gemm_int8_scratch_bytes(test_table(), 1, x.rows(), kOutputs, kInputs));
                         kernels::ExecContext ctx{test_table(), 1, scratch};
                         kernels::gemm_int8(ctx, x.ref(), plain, c, options, e);
                       });
    }
  }
}

TEST_CASE("a frozen bf16 weight multiplies as gemm_bf16 with both factors rounded") {
  const SmallWeight w(kInputs, kOutputs);
  const Plan plan = plan_of("bf16");
  const auto frozen = freeze(test_table(), plan, Role::linear,
                             *quantize_weight(test_table(), plan, Role::linear, w.ref(), {}, "w"), nullptr);
  const Rounded narrow(w);
  const kernels::PackedMatrix<bf16> packed(test_table(), narrow.ref());
  require_products(*frozen, FloatType::bfloat16,
                   [&](const GuardedMatrix& x, kernels::MatrixRef c, const kernels::GemmEpilogue& e) {
                     const Rounded a(x);
                     kernels::Scratch scratch(kernels::gemm_bf16_scratch_bytes(
                         test_table(), 1, x.rows(), kOutputs, kInputs, kernels::Weights::packed));
                     kernels::ExecContext ctx{test_table(), 1, scratch};
                     kernels::gemm_bf16(ctx, a.ref(), packed, FloatView(c), kernels::Accumulate::no, e);
                   });
}

TEST_CASE("weights alone in few bits multiply as gemm_weight_only") {
  const SmallWeight w(kInputs, kOutputs);
  for (const char* name : {"weight-int8", "weight-int4"}) {
    CAPTURE(name);
    const Plan plan = plan_of(name);
    const auto frozen = freeze(test_table(), plan, Role::linear,
                               *quantize_weight(test_table(), plan, Role::linear, w.ref(), {}, "w"), nullptr);
    const bool is_int8 = plan.scheme.bits == 8;
    const kernels::WeightOnlyMatrix plain(
        test_table(),
        kernels::quantize_groups(w.ref(), is_int8 ? 8 : 4, is_int8 ? kInputs : 64,
                                 is_int8 ? kernels::GroupRange::absmax : kernels::GroupRange::zeropoint));
    REQUIRE(frozen->bytes() == plain.bytes());
    REQUIRE(plan_frozen(test_table(), plan, Role::linear, kInputs, kOutputs, 0)->bytes() == plain.bytes());
    require_products(
        *frozen, FloatType::bfloat16,  // a residual that is the result is added from the beginning, as there
        [&](const GuardedMatrix& x, kernels::MatrixRef c, const kernels::GemmEpilogue& e) {
          kernels::Scratch scratch(
              kernels::gemm_weight_only_scratch_bytes(test_table(), 1, x.rows(), kOutputs, kInputs));
          kernels::ExecContext ctx{test_table(), 1, scratch};
          kernels::gemm_weight_only(ctx, x.ref(), plain, c, e);
        });
  }
}

TEST_CASE("a table multiplies with its transpose, and its rows come back") {
  const SmallWeight table(kOutputs, kInputs);  // V tokens, C channels
  const Inputs x(5);
  for (const TableForm form : {TableForm::bf16, TableForm::int8}) {
    for (const char* name : {"llm-int8", "absmax-tensor", "zeropoint-tensor", "llm-int8-paper", "bf16"}) {
      CAPTURE(name, static_cast<int>(form));
      const Plan plan = plan_of(name, form);
      const auto quantized = *quantize_weight(test_table(), plan, Role::table, table.ref(), {}, "t");
      const auto frozen = freeze(test_table(), plan, Role::table, quantized, nullptr);
      GuardedMatrix out(5, kOutputs), expected(5, kOutputs);
      multiply(*frozen, 2, FloatView(out.ref()), x.ref(), {});
      kernels::Scratch scratch(std::size_t{1} << 22);
      kernels::ExecContext ctx{test_table(), 1, scratch};
      std::vector<float> row(kInputs);
      if (form == TableForm::bf16) {
        const Rounded narrow(table), a(x);
        kernels::gemm_bf16(ctx, a.ref(), kernels::PackedMatrix<bf16>(test_table(), narrow.ref().transposed()),
                           FloatView(expected.ref()));
        for (Index v = 0; v < kOutputs; ++v) {
          frozen->copy_row(row.data(), v);
          for (Index c = 0; c < kInputs; ++c) REQUIRE(double(row[c]) == to_double(narrow(v, c)));
        }
      } else {
        // Whatever the scheme, a scale for each token, and no input depends on another's.
        const kernels::Int8Scheme own{plan.scheme.weights.range, kernels::Int8Scope::vector};
        const kernels::Int8Weights plain(test_table(), table.ref().transposed(), own);
        kernels::gemm_int8(ctx, x.ref(), plain, expected.ref(),
                           {{plan.scheme.inputs.range, kernels::Int8Scope::vector}, plan.scheme.threshold});
        const auto& columns = std::get<kernels::QuantizedColumns>(quantized);
        for (Index v = 0; v < kOutputs; ++v) {
          frozen->copy_row(row.data(), v);
          for (Index c = 0; c < kInputs; ++c)
            REQUIRE(row[c] ==
                    static_cast<float>(columns.q[v * kInputs + c] - columns.zero[v]) * columns.scale[v]);
        }
      }
      REQUIRE(compare_equal(out.values(), expected.values()));
    }
  }
  const auto linear =
      freeze(test_table(), plan_of("bf16"), Role::linear,
             *quantize_weight(test_table(), plan_of("bf16"), Role::linear, table.ref(), {}, "w"), nullptr);
  std::vector<float> row(kInputs);
  CHECK_THROWS_AS(linear->copy_row(row.data(), 0), ContractError);
}

TEST_CASE("a table that comes a few rows at a time is packed as one that comes whole") {
  // As a file gives them, but fewer at a time: three panels, and some rows behind them.
  struct Rows final : model::ParameterSource {
    const SmallWeight& values;
    Index nr;
    mutable Index most_asked = 0;
    Rows(const SmallWeight& w, Index panel) : values(w), nr(panel) {}
    void read(std::string_view, std::span<float>) const override { throw std::logic_error("read whole"); }
    void each_rows(std::string_view, Index rows, Index cols, Index most,
                   const model::TakeRows& take) const override {
      REQUIRE(most % nr == 0);
      most_asked = most;
      for (Index first = 0; first < rows; first += nr)
        take(first, kernels::ConstMatrixRef(values.ref().row(first), std::min(nr, rows - first), cols,
                                            values.ref().row_stride));
    }
  };
  for (const FloatType type : {FloatType::float32, FloatType::bfloat16}) {
    const bool is_float = type == FloatType::float32;
    const Index nr = is_float ? kernels::layout_of(*test_table().gemm_f32).nr
                              : kernels::layout_of(*test_table().gemm_bf16).nr,
                tokens = 3 * nr + 5;
    CAPTURE(is_float, nr);
    SmallWeight table(tokens, kInputs);
    const Rows source(table, nr);
    const auto whole = freeze_floats(test_table(), type, Role::table, table.ref());
    std::vector<Index> seen;
    const auto streamed = freeze_table(test_table(), type, source, "t", tokens, kInputs,
                                       [&](Index first, kernels::ConstMatrixRef rows) {
                                         seen.insert(seen.end(), {first, rows.rows});
                                       });
    CHECK(seen == std::vector<Index>{0, nr, nr, nr, 2 * nr, nr, 3 * nr, 5});
    CHECK(source.most_asked * kInputs <= Index{1} << 20);  // 4 MiB
    std::vector<float> row(kInputs), expected(kInputs);
    for (Index v = 0; v < tokens; ++v) {
      streamed->copy_row(row.data(), v), whole->copy_row(expected.data(), v);
      REQUIRE(row == expected);
      if (is_float) REQUIRE(row[3] == table(v, 3));
    }
    const Inputs x(5);
    GuardedMatrix out(5, tokens), of_whole(5, tokens);
    multiply(*streamed, 1, FloatView(out.ref()), x.ref(), {});
    multiply(*whole, 1, FloatView(of_whole.ref()), x.ref(), {});
    REQUIRE(compare_equal(out.values(), of_whole.values()));
  }
}

TEST_CASE("a weight takes what was planned for it, and the plan multiplies nothing") {
  const SmallWeight w(kInputs, kOutputs);
  for (const Scheme& scheme : schemes()) {
    for (const TableForm form : {TableForm::f32, TableForm::bf16, TableForm::int8}) {
      for (const Role role : {Role::linear, Role::table, Role::other}) {
        CAPTURE(scheme.name, static_cast<int>(form), static_cast<int>(role));
        if (!takes_table(scheme, form)) {
          REQUIRE(scheme.name.starts_with("weight-"));
          REQUIRE_THROWS_AS(quantize_weight(test_table(), {scheme, form}, Role::table, w.ref(), {}, "w"),
                            ContractError);
          continue;
        }
        const Plan plan{scheme, form};
        const bool keeps = role == Role::linear && scheme.method == Method::int8;
        const auto planned = plan_frozen(test_table(), plan, role, kInputs, kOutputs, keeps ? 3 : 0);
        auto made = quantize_weight(test_table(), plan, role, w.ref(),
                                    keeps ? kFloatRows : std::span<const Index>(), "w");
        REQUIRE((planned == nullptr) == !made);
        REQUIRE((planned == nullptr) ==
                (role == Role::other || (role == Role::table && form == TableForm::f32)));
        if (!made) continue;
        const auto frozen = freeze(test_table(), plan, role, std::move(*made), nullptr);
        REQUIRE(planned->bytes() == frozen->bytes());
        REQUIRE(frozen->bytes() > 0);
        for (const Index rows : {1, 33})
          for (const int threads : {1, 4})
            REQUIRE(planned->scratch_bytes(test_table(), threads, rows) ==
                    frozen->scratch_bytes(test_table(), threads, rows));
        kernels::Scratch scratch;
        kernels::ExecContext ctx{test_table(), 1, scratch};
        REQUIRE_THROWS_AS(planned->multiply(ctx, {}, {}, {}), ContractError);
      }
    }
  }
}

TEST_CASE("products are counted: all, those of calibrated dimensions, and other outliers") {
  const SmallWeight w(kInputs, kOutputs);
  const Plan plan = plan_of("llm-int8");
  const std::vector<Index> rows = {1, 2};
  ProductCounts counts;
  const auto frozen = freeze(test_table(), plan, Role::linear,
                             *quantize_weight(test_table(), plan, Role::linear, w.ref(), rows, "w"), &counts);
  GuardedMatrix x(4, kInputs);
  x.fill([](Index, Index) { return 1.0; });
  x(0, 1) = 100;                             // calibrated: no outlier of run time
  x(0, 7) = 6, x(1, 7) = -6.5, x(1, 9) = 6;  // three in two dimensions
  x(3, 8) = 5.9999f;
  GuardedMatrix out(4, kOutputs);
  multiply(*frozen, 1, FloatView(out.ref()), x.ref(), {});
  CHECK(counts.all == 4 * kInputs * kOutputs);
  CHECK(counts.calibrated == 8 * kOutputs);
  CHECK(counts.outliers == 3 * kOutputs);
  CHECK(counts.most_dimensions == 2);
  x.fill([](Index, Index) { return 1.0; });
  x(2, 5) = std::numeric_limits<float>::quiet_NaN();
  multiply(*frozen, 1, FloatView(out.ref()), x.ref(), {});
  CHECK(counts.all == 8 * kInputs * kOutputs);
  CHECK(counts.calibrated == 16 * kOutputs);
  CHECK(counts.outliers == 4 * kOutputs);
  CHECK(counts.most_dimensions == 2);  // of one pass
}

TEST_CASE("a value that is not finite is refused by name and place, in every form") {
  SmallWeight w(9, 7);
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    w(8, 3) = bad;
    for (const char* name : {"bf16", "llm-int8", "zeropoint-tensor", "weight-int8"}) {
      INFO(name);
      const auto quantize = [&] {
        return quantize_weight(test_table(), plan_of(name), Role::linear, w.ref(), {},
                               "blocks.0.mlp.up.weight");
      };
      CHECK_THROWS_AS(quantize(), InputError);
      CHECK_THROWS_WITH(quantize(), Contains("'blocks.0.mlp.up.weight'") && Contains("row 8, column 3"));
    }
    for (const TableForm form : {TableForm::bf16, TableForm::int8})
      CHECK_THROWS_WITH(quantize_weight(test_table(), plan_of("llm-int8", form), Role::table, w.ref(), {},
                                        "embedding.token"),
                        Contains("'embedding.token'"));
    CHECK_FALSE(quantize_weight(test_table(), plan_of("llm-int8"), Role::table, w.ref(), {}, "t"));
  }
}

TEST_CASE("more inputs than int8 sums can hold are the model's fault, and bf16 takes them") {
  const SmallWeight deep(kernels::kInt8MaxDepth + 1, 1), wide(1, kernels::kInt8MaxDepth + 1);
  const auto refused = [](const auto& quantize) {
    CHECK_THROWS_AS(quantize(), InputError);
    CHECK_THROWS_WITH(quantize(), Contains("parameter 'w' has 33026 inputs") && Contains("33025"));
  };
  refused([&] {
    return quantize_weight(test_table(), plan_of("absmax-row"), Role::linear, deep.ref(), {}, "w");
  });
  refused([&] {
    return quantize_weight(test_table(), plan_of("bf16", TableForm::int8), Role::table, wide.ref(), {}, "w");
  });
  CHECK(quantize_weight(test_table(), plan_of("absmax-row"), Role::linear, wide.ref(), {}, "w"));
  CHECK(quantize_weight(test_table(), plan_of("bf16"), Role::linear, deep.ref(), {}, "w"));
}

TEST_CASE("which parameters are quantised") {
  CHECK(role_of("embedding.token") == Role::table);
  CHECK(role_of("head.weight") == Role::table);
  CHECK(role_of("embedding.position") == Role::other);
  CHECK(role_of("blocks.0.attention.qkv.weight") == Role::linear);
  CHECK(role_of("blocks.11.mlp.gate_up.weight") == Role::linear);
  for (const char* name : {"blocks.0.attention.qkv.bias", "blocks.0.mlp.norm.gain", "blocks.0.mlp.norm.bias",
                           "head.norm.gain", "blocks.0.attention.q_norm.gain"}) {
    INFO(name);
    CHECK(role_of(name) == Role::other);
  }
}
