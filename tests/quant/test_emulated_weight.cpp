// int8 done in float32: the same numbers, part by part, and noise of the power that it should have.
#include "quant/emulated_weight.hpp"

#include <cmath>

#include "base/check.hpp"
#include "kernels/gemm.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/guarded_buffer.hpp"
#include "support/isa.hpp"
#include "support/random_inputs.hpp"

using namespace loglog;
using namespace loglog::quant;
using namespace loglog::testing;

namespace {

constexpr Index kRows = 40, kInputs = 130, kOutputs = 50;

struct Inputs : GuardedMatrix {
  Inputs() : GuardedMatrix(kRows, kInputs) {
    fill_normal(*this, 1);
    for (Index i = 0; i < kRows; ++i) (*this)(i, 7) = 9.0f + static_cast<float>(i);
  }
};

struct Weights : GuardedMatrix {
  Weights() : GuardedMatrix(kInputs, kOutputs) { fill_normal(*this, 2, 0.1); }
};

std::vector<float> multiply(const tensor::FrozenWeight& w, GuardedMatrix& x, int threads = 1) {
  GuardedMatrix out(x.rows(), kOutputs);
  kernels::Scratch scratch(w.scratch_bytes(test_table(), threads, x.rows()));
  kernels::ExecContext ctx{test_table(), threads, scratch};
  w.multiply(ctx, tensor::FloatView(out.ref()), x.ref(), {});
  return out.values();
}

std::vector<float> gemm(GuardedMatrix& x, GuardedMatrix& w) {
  GuardedMatrix out(x.rows(), kOutputs);
  kernels::Scratch scratch(kernels::gemm_scratch_bytes(test_table(), 1, x.rows(), kOutputs, kInputs));
  kernels::ExecContext ctx{test_table(), 1, scratch};
  kernels::gemm(ctx, x.ref(), w.ref(), out.ref());
  return out.values();
}

// x and w with what rounding leaves of the chosen dimensions.
void round_both(const Scheme& scheme, const std::vector<bool>& chosen, GuardedMatrix& x, GuardedMatrix& w) {
  const kernels::QuantizedColumns columns = kernels::quantize_columns(test_table(), w.ref(), scheme.weights);
  const std::vector<float> limits(kInputs, scheme.threshold);
  std::vector<std::int8_t> q(kRows * kInputs);
  std::vector<float> scale(kRows);
  std::vector<std::int32_t> zero(kRows), sum(kRows);
  kernels::Scratch scratch(kernels::quantize_rows_scratch_bytes(1));
  kernels::ExecContext ctx{test_table(), 1, scratch};
  kernels::quantize_rows(ctx, {{q.data(), kRows, kInputs}, scale.data(), zero.data(), sum.data()}, x.ref(),
                         scheme.inputs, limits.data());
  for (Index k = 0; k < kInputs; ++k) {
    if (!chosen.empty() && !chosen[static_cast<std::size_t>(k)]) continue;
    for (Index i = 0; i < kRows; ++i)
      if (std::fabs(x(i, k)) < scheme.threshold)
        x(i, k) = scale[i] * static_cast<float>(q[i * kInputs + k] - zero[i]);
    for (Index j = 0; j < kOutputs; ++j)
      w(k, j) = columns.scale[j] * static_cast<float>(columns.q[j * kInputs + k] - columns.zero[j]);
  }
}

}  // namespace

TEST_CASE("rounding is that of the scheme, in the chosen dimensions alone") {
  std::vector<bool> some(kInputs);
  some[3] = some[7] = some[129] = true;
  for (const Scheme& scheme : schemes()) {
    if (scheme.method != Method::int8 || scheme.whole_columns) continue;
    for (const auto& chosen : {std::vector<bool>(), some}) {
      CAPTURE(scheme.name, chosen.size());
      Inputs x;
      Weights w;
      Emulation emulation;
      emulation.dimensions = chosen;
      const auto emulated = emulate(test_table(), scheme, w.ref(), emulation, nullptr);
      const std::vector<float> got = multiply(*emulated, x, 2);
      round_both(scheme, chosen, x, w);
      REQUIRE(compare_equal(got, gemm(x, w)));
    }
  }
}

TEST_CASE("nothing errs where nothing is to") {
  Inputs x;
  Weights w;
  Emulation emulation;
  emulation.inputs = emulation.weights = false;
  REQUIRE(compare_equal(
      multiply(*emulate(test_table(), find_scheme("absmax-vector"), w.ref(), emulation, nullptr), x),
      gemm(x, w)));
}

TEST_CASE("noise has the power of a step squared over twelve, and a row's depends on the row alone") {
  Inputs x;
  Weights w;
  Emulation emulation;
  emulation.error = RoundingError::noise;
  ErrorPower power;
  const auto emulated = emulate(test_table(), find_scheme("absmax-vector"), w.ref(), emulation, &power);
  const std::vector<float> all = multiply(*emulated, x);
  // u^2 of u uniform in [-1/2, 1/2) has mean 1/12 and variance 1/180: five standard deviations of a mean of n are 5 sqrt(144 / 180 / n) of
  // it. Columns have scales of their own, which makes n less; half of it is more than enough.
  const auto within = [](double n) { return 5 * std::sqrt(0.8 / (n / 2)); };
  CHECK(power.weights / power.weights_predicted == Approx(1).margin(within(kInputs * kOutputs)));
  CHECK(power.inputs / power.inputs_predicted == Approx(1).margin(within(kRows * kInputs)));
  GuardedMatrix row(1, kInputs);
  row.fill([&](Index, Index k) { return x(17, k); });
  const std::vector<float> alone = multiply(*emulated, row);
  REQUIRE(compare(kOutputs, [&](Index j) { return Element{alone[j], all[17 * kOutputs + j]}; }));
  emulation.seed = 2;
  const auto other = emulate(test_table(), find_scheme("absmax-vector"), w.ref(), emulation, nullptr);
  CHECK(multiply(*other, x) != all);
}

TEST_CASE("rounding of values that spread over many steps has that power too") {
  // Errors of normal values are uniform to within exp(-2 pi^2 (sigma / step)^2) of Bennett's series: sigma / step is above 2.6 here, with
  // 48 the largest input and 127 steps to it. The largest of a row or column is exact, one of 130. Bounds as for noise.
  Inputs x;
  Weights w;
  ErrorPower power;
  multiply(*emulate(test_table(), find_scheme("absmax-vector"), w.ref(), {}, &power), x);
  const auto within = [](double n) { return 1.0 / kInputs + 5 * std::sqrt(0.8 / (n / 2)); };
  CHECK(power.weights / power.weights_predicted == Approx(1).margin(within(kInputs * kOutputs)));
  CHECK(power.inputs / power.inputs_predicted == Approx(1).margin(within(kRows * kInputs)));
}

TEST_CASE("what is not int8 on both sides is not emulated") {
  Weights w;
  for (const char* name : {"bf16", "weight-int8", "llm-int8-paper"})
    CHECK_THROWS_AS(emulate(test_table(), find_scheme(name), w.ref(), {}, nullptr), ContractError);
  Emulation emulation;
  emulation.dimensions.resize(3);
  CHECK_THROWS_AS(emulate(test_table(), find_scheme("llm-int8"), w.ref(), emulation, nullptr), ContractError);
}
