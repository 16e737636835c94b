// What a survey and zeroing say of a small model, against passes that are made here, by hand.
#include "eval/outlier_measures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "base/check.hpp"
#include "kernels/isa.hpp"
#include "quant/small_quantized.hpp"
#include "support/temporary_folder.hpp"
#include "train/small_runs.hpp"

using namespace loglog;
using namespace loglog::eval;
using namespace loglog::testing;

namespace {

constexpr std::uint64_t kTokens = 60;  // of 2 windows a pass: 5 passes

// Everything that flows through a model, by place: row after row.
class Recorder final : public nn::Probe {
 public:
  std::map<nn::Place, std::vector<float>> seen;
  void stream(kernels::ExecContext&, nn::Place place, tensor::MatrixView x) override { keep(place, x); }
  void input(kernels::ExecContext&, nn::Place place, const tensor::FloatView& x) override {
    keep(place, x.as<float>());
  }

 private:
  void keep(nn::Place place, kernels::MatrixRef x) {
    for (Index r = 0; r < x.rows; ++r) seen[place].insert(seen[place].end(), x.row(r), x.row(r) + x.cols);
  }
};

// A model of two blocks with outliers in channels 5 and 20, and a text.
struct Subject {
  TemporaryFolder folder;
  OpenedSmallModel model;
  std::unique_ptr<WindowedText> text;

  explicit Subject(const model::ModelConfig& m = quantized_variant(0)) : model(m) {
    write_small_tokens(folder.path() / "t.tok");
    text = std::make_unique<WindowedText>(folder.path() / "t.tok", model.opened.config, "all", kTokens);
  }
  quant::RunningModel running() const {
    return {{kernels::select_table("auto"), 1, model::FloatType::float32},
            model.opened,
            nullptr,
            WindowPasses::shape(model.config(), *text, 2)};
  }
  // The mean loss over all targets of the text, each window a pass of its own.
  double loss(nn::Probe* probe = nullptr) {
    const auto context = static_cast<std::size_t>(model.config().context);
    std::vector<data::Token> inputs(context), targets(context);
    SmallModel one(model.config(), {1, model.config().context}, kernels::select_table("auto"));
    std::ranges::copy(model.small.gpt.values(), one.gpt.values().begin());
    one.gpt.values_changed();
    double sum = 0;
    for (std::uint64_t w = 0; w < text->sample().windows(); ++w) {
      text->sample().fill(w, inputs, targets);
      one.gpt.forward(one.ctx, 1, inputs.data(), targets.data(), one.losses.data(), {}, probe);
      double window = 0;
      for (const float loss : one.losses) window += double(loss);
      sum += window;
    }
    return sum / static_cast<double>(text->sample().windows() * context);
  }
};

quant::SurveySettings settings() {
  quant::SurveySettings s;
  s.permutations = 99;
  return s;
}

// Channels of what one product takes to zero: the rows of its weight that read them do the same.
void clear_rows(OpenedSmallModel& model, const std::string& weight, const std::vector<Index>& channels) {
  const tensor::Parameter p = model.values().parameter(weight);
  for (const Index j : channels) std::fill_n(p.value + j * p.cols, p.cols, 0.0f);
  model.small.gpt.values_changed();
}

void clear_readers(OpenedSmallModel& model, const std::vector<Index>& channels,
                   const std::vector<Index>& layers) {
  for (const Index layer : layers)
    for (const char* reader : {"attention.qkv", "mlp.up"})
      clear_rows(model, fmt::format("blocks.{}.{}.weight", layer, reader), channels);
}

}  // namespace

TEST_CASE("a survey has the model's loss, and of its hidden states what plain sums say") {
  Subject subject;
  quant::RunningModel running = subject.running();
  std::vector<std::string> passes;
  std::uint64_t windows = 0;
  const auto survey = survey_model(running, *subject.text, settings(), {}, [&](const std::string& pass) {
    passes.push_back(pass);
    return [&windows](std::uint64_t done) { windows = std::max(windows, done); };
  });
  REQUIRE(survey);
  CHECK(passes == std::vector<std::string>{"activations", "relative threshold"});
  CHECK(windows == subject.text->sample().windows());
  Recorder recorder;
  CHECK(survey->loss == subject.loss(&recorder));
  CHECK(survey->clusters.mean() == Approx(survey->loss));
  CHECK(survey->is_finite());
  CHECK(survey->survey.sites == std::vector<std::string>{"qkv", "up"});
  CHECK(survey->survey.outliers() == std::vector<Index>{5, 20});
  REQUIRE(survey->survey.sums.entries().size() == recorder.seen.size());
  for (const auto& [place, values] : recorder.seen) {
    INFO(name_of(place.site) << " " << place.layer);
    const quant::ChannelSums* const sums =
        survey->survey.sums.find({std::string(name_of(place.site)), place.layer});
    REQUIRE(sums != nullptr);
    const auto width = static_cast<std::size_t>(sums->width());
    REQUIRE(sums->rows() * width == values.size());
    for (std::size_t j = 0; j < width; ++j) {
      double squares = 0;
      for (std::size_t i = j; i < values.size(); i += width) squares += double(values[i]) * double(values[i]);
      REQUIRE(sums->channels()[j].squares == squares);
    }
  }
  CHECK(survey->attention.layers().size() == 2);
}

TEST_CASE("a survey without a relative threshold takes one pass, and a model without perceptron has no up") {
  Subject subject(quantized_variant(3));
  quant::RunningModel running = subject.running();
  quant::SurveySettings s = settings();
  s.relative = 0;
  int passes = 0;
  const auto survey = survey_model(running, *subject.text, s, {}, [&](const std::string&) {
    ++passes;
    return std::function<void(std::uint64_t)>();
  });
  REQUIRE(survey);
  CHECK(passes == 1);
  CHECK(survey->survey.sites == std::vector<std::string>{"qkv"});
  CHECK(survey->survey.criteria.size() == 1);
  CHECK(survey->loss == subject.loss());
}

TEST_CASE("a channel that is zeroed is one that no weight reads") {
  Subject subject;
  quant::RunningModel running = subject.running();
  const auto zeroing = zero_channels(running, *subject.text, {{"qkv", "up"}, {5, 20}, 32, 2, 1, {0, 1}}, {});
  REQUIRE(zeroing);
  REQUIRE(zeroing->random.size() == 2);
  REQUIRE(zeroing->by_layer.size() == 2);
  REQUIRE(zeroing->random_by_layer.size() == 2);
  const double all = subject.loss();
  const auto matches = [&](const Zeroed& z, const std::vector<Index>& layers) {
    Subject other;
    clear_readers(other.model, z.channels, layers);
    CHECK(z.loss == other.loss());
    CHECK(z.loss != all);
    CHECK(z.clusters.mean() == Approx(z.loss));
    // What attention looks at then, of the layers that were changed.
    quant::RunningModel cleared = other.running();
    const auto survey = survey_model(cleared, *other.text, settings(), {});
    REQUIRE(survey);
    CHECK(z.top1 == (layers.size() == 1 ? mean_top1(survey->attention.layers().at(layers[0]))
                                        : survey->attention.top1()));
  };
  CHECK(zeroing->chosen.channels == std::vector<Index>{5, 20});
  CHECK_FALSE(zeroing->chosen.layer);
  matches(zeroing->chosen, {0, 1});
  for (const Zeroed& draw : zeroing->random) {
    CHECK(draw.channels.size() == 2);
    for (const Index j : draw.channels) CHECK((j != 5 && j != 20 && j >= 0 && j < 32));
    matches(draw, {0, 1});
  }
  CHECK(zeroing->random[0].channels != zeroing->random[1].channels);
  for (const Index layer : {0, 1}) {
    const auto i = static_cast<std::size_t>(layer);
    CHECK(zeroing->by_layer[i].layer == layer);
    CHECK(zeroing->by_layer[i].channels == std::vector<Index>{5, 20});
    matches(zeroing->by_layer[i], {layer});
    CHECK(zeroing->random_by_layer[i].layer == layer);
    matches(zeroing->random_by_layer[i], {layer});
  }
}

TEST_CASE("with all channels a model is what its survey says") {
  Subject subject;
  quant::RunningModel running = subject.running();
  const auto survey = survey_model(running, *subject.text, settings(), {});
  REQUIRE(survey);
  const Zeroed all = whole(*survey);
  CHECK(all.channels.empty());
  CHECK(all.loss == subject.loss());
  CHECK(all.top1 == survey->attention.top1());
  CHECK(all.clusters.mean() == survey->clusters.mean());
  const OutlierRung rung = rung_of("one", 100, 200, 7, *survey);
  CHECK(rung.loss == survey->loss);
  CHECK(rung.kurtosis == survey->survey.kurtosis({"qkv", "up"}));
  CHECK(rung.outliers == std::vector<std::size_t>{2, survey->survey.criteria[1].verdict.outliers.size()});
  CHECK(rung.n == 100);
  CHECK(rung.d == 200);
  CHECK(rung.step == 7);
  CHECK(rung.is_finite);
}

TEST_CASE("a model whose numbers are not finite says so") {
  Subject subject;
  subject.model.values().parameter("blocks.1.mlp.norm.gain").value[3] =
      std::numeric_limits<float>::infinity();
  quant::RunningModel running = subject.running();
  const auto survey = survey_model(running, *subject.text, settings(), {});
  REQUIRE(survey);
  CHECK_FALSE(survey->is_finite());
  CHECK_FALSE(rung_of("", 1, 1, 1, *survey).is_finite);
}

TEST_CASE("a signal ends a survey and zeroing, in whichever pass it comes") {
  Subject subject;
  quant::RunningModel running = subject.running();
  const auto passes = (subject.text->sample().windows() + 1) / 2;  // of the model, for a pass over the text
  const auto after = [](std::uint64_t calls) {
    return [calls, asked = std::uint64_t{0}]() mutable { return asked++ == calls; };
  };
  const std::uint64_t all = 2 * passes + settings().permutations;  // each of which asks, too
  for (const std::uint64_t calls : {std::uint64_t{0}, passes, 2 * passes - 1, all - 1})
    CHECK_FALSE(survey_model(running, *subject.text, settings(), after(calls)));
  CHECK(survey_model(running, *subject.text, settings(), after(all)));
  const ZeroingPlan plan{{"qkv"}, {5}, 32, 1, 1, {0}};  // the chosen, a draw, and both in a layer
  for (const std::uint64_t calls : {std::uint64_t{0}, passes, 2 * passes, 4 * passes - 1})
    CHECK_FALSE(zero_channels(running, *subject.text, plan, after(calls)));
  CHECK(zero_channels(running, *subject.text, plan, after(4 * passes)));
}

TEST_CASE("channels without as many others cannot be compared") {
  Subject subject;
  quant::RunningModel running = subject.running();
  std::vector<Index> most;
  for (Index j = 0; j < 17; ++j) most.push_back(j);
  CHECK_THROWS_AS(zero_channels(running, *subject.text, {{"qkv"}, most, 32, 1, 1, {}}, {}), ContractError);
}
