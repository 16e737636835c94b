// Models that run with quantised weights: what they compute, and that it depends on nothing else.
#include "quant/weights.hpp"

#include <cmath>

#include "base/check.hpp"
#include "small_quantized.hpp"
#include "support/isa.hpp"
#include "tensor/frozen_weight.hpp"

using namespace loglog;
using namespace loglog::quant;
using namespace loglog::testing;

namespace {

constexpr Index kBatch = 8;

Plan plan_of(std::string_view name, TableForm table = TableForm::f32) {
  return {find_scheme(name), table};
}

// Keeps a copy of what was seen at each place.
class Seen final : public nn::Probe {
 public:
  using Rows = std::vector<std::vector<float>>;
  void stream(kernels::ExecContext&, nn::Place place, tensor::MatrixView x) override {
    places[place] = rows_of(x);
  }
  void input(kernels::ExecContext&, nn::Place place, const tensor::FloatView& x) override {
    places[place] = rows_of(x.as<float>());
  }
  std::map<nn::Place, Rows> places;

 private:
  static Rows rows_of(tensor::ConstMatrixView x) {
    Rows rows;
    for (Index i = 0; i < x.rows; ++i) rows.emplace_back(x.row(i), x.row(i) + x.cols);
    return rows;
  }
};

// A row or column in absmax int8: round(127 x / max|x|), outliers left out.
struct Line {
  std::vector<double> q;
  double scale = 0;
};
Line quantized(const std::vector<float>& x, float threshold) {
  float largest = 0;
  const auto is_outlier = [&](float value) { return std::fabs(value) >= threshold; };
  for (const float value : x)
    if (!is_outlier(value)) largest = std::max(largest, std::fabs(value));
  Line line;
  line.scale = static_cast<double>(static_cast<float>(static_cast<double>(largest) / 127));
  const auto inverse = static_cast<float>(127.0 / static_cast<double>(largest));
  for (const float value : x) line.q.push_back(is_outlier(value) ? 0.0 : std::nearbyint(value * inverse));
  return line;
}

}  // namespace

TEST_CASE("a linear layer of a quantised model is the product of its pieces, made by hand") {
  // The second block's attention, whose output is what the stream gains until its perceptron reads it.
  OpenedSmallModel model(quantized_variant(0));
  const Scheme& scheme = find_scheme("llm-int8");
  const WeightsOfModel weights(model.opened, {scheme}, {});
  QuantizedSmallModel small(weights, model.config(), 3, test_table());
  Seen seen;
  // Inputs with outliers of their own.
  class Enlarge final : public nn::Probe {
   public:
    explicit Enlarge(Seen& seen) : seen_(seen) {}
    void stream(kernels::ExecContext& ctx, nn::Place place, tensor::MatrixView x) override {
      seen_.stream(ctx, place, x);
    }
    void input(kernels::ExecContext& ctx, nn::Place place, const tensor::FloatView& x) override {
      if (place == nn::Place{nn::Site::attention_out, 1})
        for (Index i = 0; i < x.rows; ++i) x.as<float>().row(i)[(7 * i) % x.cols] *= 50;
      seen_.input(ctx, place, x);
    }

   private:
    Seen& seen_;
  } probe(seen);
  small.losses(3, model.small.tokens, model.small.targets, &probe);

  const tensor::Parameter &w = model.values().parameter("blocks.1.attention.out.weight"),
                          &bias = model.values().parameter("blocks.1.attention.out.bias");
  std::vector<Line> columns;
  for (Index j = 0; j < w.cols; ++j) {
    std::vector<float> column;
    for (Index k = 0; k < w.rows; ++k) column.push_back(w.value[k * w.cols + j]);
    columns.push_back(quantized(column, std::numeric_limits<float>::infinity()));
  }
  const Seen::Rows& x = seen.places.at({nn::Site::attention_out, 1});
  const Seen::Rows& before = seen.places.at({nn::Site::attention_stream, 1});
  const Seen::Rows& after = seen.places.at({nn::Site::mlp_stream, 1});
  Index outliers = 0;
  std::vector<Element> elements;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Line row = quantized(x[i], scheme.threshold);
    for (std::size_t j = 0; j < columns.size(); ++j) {
      double sum = 0, outside = 0, outside_size = 0;
      for (std::size_t k = 0; k < x[i].size(); ++k) {
        sum += row.q[k] * columns[j].q[k];
        if (std::fabs(x[i][k]) < scheme.threshold) continue;
        const double product = double(x[i][k]) * columns[j].q[k] * columns[j].scale;
        outside += product, outside_size += std::abs(product);
        outliers += j == 0;
      }
      const double inside = sum * row.scale * columns[j].scale;
      const double exact = inside + outside + double(bias.value[j]) + double(before[i][j]);
      // int8.hpp, Rounding, with all columns counted as outliers; a rounding of the dequantised weight; and one each for bias and
      // residual.
      const double u = kUnitRoundoff, all = std::abs(inside) + outside_size;
      const double terms = static_cast<double>(w.rows) + 4;
      const double bound = u * (terms + 1) * all +
                           2 * u * (all + std::abs(double(bias.value[j])) + std::abs(double(before[i][j])));
      elements.push_back({double(after[i][j]), exact, bound * 1.0001});
    }
  }
  REQUIRE(outliers > 3);
  CHECK(compare(static_cast<std::int64_t>(elements.size()),
                [&](std::int64_t i) { return elements[static_cast<std::size_t>(i)]; }));
}

TEST_CASE("rows of a table are what their form says, where a block reads them first") {
  OpenedSmallModel model(quantized_variant(3));  // no positions: the stream is the embedding
  const tensor::Parameter& table = model.values().parameter("embedding.token");
  for (const TableForm form : {TableForm::bf16, TableForm::int8}) {
    const WeightsOfModel weights(model.opened, plan_of("llm-int8", form), {});
    QuantizedSmallModel small(weights, model.config(), 3, test_table());
    Seen seen;
    small.losses(3, model.small.tokens, model.small.targets, &seen);
    const Seen::Rows& stream = seen.places.at({nn::Site::attention_stream, 0});
    for (std::size_t r = 0; r < stream.size(); ++r) {
      const float* const row = table.value + model.small.tokens[r] * table.cols;
      const std::vector<float> values(row, row + table.cols);
      const Line line = quantized(values, std::numeric_limits<float>::infinity());
      for (std::size_t c = 0; c < values.size(); ++c) {
        const float expected = form == TableForm::bf16
                                   ? kernels::to_float(kernels::to_bf16(values[c]))
                                   : static_cast<float>(line.q[c]) * static_cast<float>(line.scale);
        REQUIRE(stream[r][c] == expected);
      }
    }
  }
}

TEST_CASE("results depend neither on threads nor on what else is in the batch, where the scheme says so") {
  const int variant = GENERATE(range(0, kVariants));
  OpenedSmallModel model(quantized_variant(variant), kBatch);
  const model::ModelConfig& m = model.config();
  const Calibration inputs = calibrated(model);
  const auto time = static_cast<std::size_t>(m.context);
  bool some_differ = false;
  for (const Scheme& scheme : schemes()) {
    for (const TableForm form : {TableForm::f32, TableForm::bf16, TableForm::int8}) {
      if (!takes_table(scheme, form)) continue;
      CAPTURE(variant, scheme.name, static_cast<int>(form));
      const WeightsOfModel weights(model.opened, {scheme, form}, {&inputs, 0.5});
      QuantizedSmallModel one(weights, m, kBatch, test_table()), three(weights, m, kBatch, test_table(), 3);
      const std::vector<float> all = one.losses(kBatch, model.small.tokens, model.small.targets);
      REQUIRE(std::ranges::all_of(all, [](float x) { return std::isfinite(x); }));
      REQUIRE(compare_equal(three.losses(kBatch, model.small.tokens, model.small.targets), all));
      std::vector<float> alone;
      for (std::size_t b = 0; b < kBatch; ++b) {
        const auto found = one.losses(1, std::span(model.small.tokens).subspan(b * time, time),
                                      std::span(model.small.targets).subspan(b * time, time));
        alone.insert(alone.end(), found.begin(), found.end());
      }
      if (!scheme.depends_on_batch()) REQUIRE(compare_equal(alone, all));
      some_differ = some_differ || !compare_equal(alone, all).passed;
    }
  }
  CHECK(some_differ);  // else the exemption would say nothing
}

TEST_CASE("so do the results of a model whose other products are bfloat16") {
  OpenedSmallModel model(quantized_variant(0), kBatch);
  const auto time = static_cast<std::size_t>(model.config().context);
  for (const char* name : {"llm-int8", "bf16"}) {
    const WeightsOfModel weights(model.opened, plan_of(name), {});
    QuantizedSmallModel small(weights, model.config(), kBatch, test_table(), 2, kernels::FloatType::bfloat16);
    const std::vector<float> all = small.losses(kBatch, model.small.tokens, model.small.targets);
    const auto last =
        small.losses(1, std::span(model.small.tokens).last(time), std::span(model.small.targets).last(time));
    CHECK(compare_equal(last, std::vector<float>(all.end() - static_cast<std::ptrdiff_t>(time), all.end())));
  }
}

TEST_CASE("memory is planned before anything is made: what is frozen counts, what it replaces does not") {
  for (int variant = 0; variant < kVariants; ++variant) {
    OpenedSmallModel model(quantized_variant(variant));
    const model::ModelConfig& m = model.config();
    const Calibration inputs = calibrated(model);
    for (const char* name : {"llm-int8", "bf16", "zeropoint-tensor"}) {
      for (const TableForm form : {TableForm::f32, TableForm::int8}) {
        CAPTURE(variant, name, static_cast<int>(form));
        const WeightsOfModel weights(model.opened, plan_of(name, form), {&inputs, 0.5});
        const model::MemoryPlan plan = model::Gpt::plan(
            m, {3, m.context}, {}, test_table(), 2, model::Purpose::inference, weights.planned(test_table()));
        std::size_t frozen = 0, left = 0;
        const model::Freeze freeze = weights.freeze(test_table(), nullptr);
        for (const model::ParameterShape& p : model::parameter_shapes(m)) {
          const auto made = freeze(p.name, p.rows, p.cols);
          REQUIRE((made != nullptr) == (role_of(p.name) == Role::linear ||
                                        (role_of(p.name) == Role::table && form == TableForm::int8)));
          if (made != nullptr)
            frozen += made->bytes();
          else
            left += tensor::arena_bytes(p.rows * p.cols);
        }
        CHECK(plan.frozen == frozen);
        CHECK(plan.parameters == left);
        CHECK(plan.gradients == 0);
        CHECK(plan.total() == plan.parameters + plan.frozen + plan.packed + plan.activations + plan.scratch);
        QuantizedSmallModel small(weights, m, 3, test_table(), 2);
        CHECK(plan.scratch == small.scratch.capacity());
        CHECK(small.gpt.values().size_bytes() == left);
      }
    }
  }
}

TEST_CASE("rows found in calibration stay float32, and are counted apart from outliers of run time") {
  OpenedSmallModel model(quantized_variant(0));
  const Calibration inputs = calibrated(model);
  const std::string qkv = "blocks.0.attention.qkv.weight";
  const std::vector<Index> outliers = inputs.outliers(qkv, 0.5);
  REQUIRE(!outliers.empty());
  const auto counts_with = [&](const Calibrated& calibrated) {
    const WeightsOfModel weights(model.opened, plan_of("llm-int8"), calibrated);
    QuantizedSmallModel small(weights, model.config(), 3, test_table());
    small.losses(3, model.small.tokens, model.small.targets);
    return small.counts.at(qkv);
  };
  const ProductCounts found = counts_with({&inputs, 0.5}), published = counts_with({}),
                      none = counts_with({&inputs, 2});
  const double rows = static_cast<double>(model.small.tokens.size()), outputs = 3 * 32;
  CHECK(found.all == rows * 32 * outputs);
  CHECK(found.calibrated == rows * static_cast<double>(outliers.size()) * outputs);
  CHECK(published.calibrated == 0);
  CHECK(none.calibrated == 0);
  CHECK(published.outliers > found.outliers);
  CHECK(none.outliers == published.outliers);
  // The first layer's inputs are those of calibration: quantisation has not changed them yet.
  CHECK(published.most_dimensions == static_cast<Index>(inputs.outliers(qkv, 0).size()));

  const WeightsOfModel plain(model.opened, plan_of("absmax-vector"), {&inputs, 0.5});
  CHECK(plain.float_rows(qkv) == 0);  // a scheme without decomposition has none
  const WeightsOfModel kept(model.opened, plan_of("llm-int8"), {&inputs, 0.5});
  CHECK(kept.float_rows(qkv) == static_cast<Index>(outliers.size()));
  CHECK(kept.float_rows("embedding.token") == 0);
}

TEST_CASE("a scheme that migrates needs calibration") {
  OpenedSmallModel model(quantized_variant(0));
  CHECK_THROWS_AS(WeightsOfModel(model.opened, plan_of("smoothquant"), {}), ContractError);
}
