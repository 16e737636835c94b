// LLM.int8() (Dettmers, Lewis, Belkada & Zettlemoyer 2022): outlier features break int8, and mixed-precision decomposition mends it.
//
// Outliers are planted (quant/plant.hpp), so that their size is known and float32 computes what it did; what changes is quantisation.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/form_losses.hpp"
#include "quant/plant.hpp"
#include "quant/weights.hpp"
#include "studies/format.hpp"
#include "studies/int8_page.hpp"
#include "studies/model_arms.hpp"
#include "studies/studies.hpp"

namespace loglog::studies {
namespace {

using quant::Index;

const char* const kPaperTable =
    "C4 perplexity at 13B: float32 12.45, absmax 19.08, vector-wise 16.48, zeropoint vector-wise 13.47, "
    "LLM.int8() 12.45";

std::vector<Claim> claims_of(const Manifest& m) {
  return {
      {"C1", "outlier features break int8: tensor-wise most, vector-wise too",
       fmt::format("planted: vector-wise rise at least {}, tensor-wise at least {} times that",
                   percent(m("vector_rise_least")), m("tensor_over_vector_least")),
       kPaperTable},
      {"C2", "tensor-wise, vector-wise, zeropoint vector-wise, LLM.int8(), in this order",
       "planted, calibrated as in C4: each rise above the next", kPaperTable},
      {"C3", "scales by rows do not mend it, for outliers stand in columns",
       fmt::format("planted: row-wise {} to {} of vector-wise, both at least {}", m("row_over_vector_low"),
                   m("row_over_vector_high"), percent(m("broken_rise_least"))),
       "13B: row-wise 16.49, vector-wise 16.48"},
      {"C4", "mixed-precision decomposition mends it",
       fmt::format(
           "planted, every scale, calibrated: rise at most {}, falsified above {}. Calibrated, the rows of W "
           "that meet outliers are float32: planting divides them by s, so that in int8, as published, they "
           "round to few steps. What that costs is shown beside it and not judged",
           percent(m("decomposition_rise_most")), percent(m("decomposition_rise_falsified"))),
       "13B: LLM.int8() 12.45, row-wise + decomposition 12.46, float32 12.45"},
      {"C5", "the harm grows with the square of the outliers",
       fmt::format("planted: log-log slope {} to {}", m("slope_low"), m("slope_high")),
       "not in the paper: rounding noise is proportional to the scale"},
      {"C6", "zeropoint's edge is gone once outliers are decomposed",
       fmt::format("planted, calibrated as in C4: at most {} of its gain is left", m("zeropoint_edge_most")),
       "13B: 3.01 without decomposition, 0.00 with it"},
      {"C7", "LLM.int8() loses nothing on models as they are",
       fmt::format("as published and calibrated: rise at most {}, falsified above {}",
                   percent(m("natural_rise_most")), percent(m("natural_rise_falsified"))),
       "125M to 13B: at most 0.7%, 0 at 13B"},
      {"C8", "int8 pays where layers are wide",
       fmt::format("at least {} times as fast as float32 at width {}", m("speed_ratio_least"),
                   m("speed_width_last")),
       "against fp16 on GPUs: 1.22 and 1.81 times as fast at 13B and 175B"},
      {"C9", "and the more the wider they are",
       fmt::format("that ratio above the one at width {}", m("speed_width_first")),
       "against fp16 on GPUs: 0.64, 0.86, 1.22 and 1.81 times as fast at 2.7B, 6.7B, 13B and 175B"},
      {"C10", "memory halves against 16 bits",
       fmt::format("all weights, embedding and norms in float32 among them, take at most {} of float32's",
                   percent(m("memory_ratio_most"))),
       "BLOOM-176B: 1.96 times less than 16 bits"},
  };
}

std::vector<Allowed> allowed_of(const Manifest& m) {
  using enum Allowed::Kind;
  constexpr double kMany = 1e6, kTokens = 1e9, kScale = 1 << 20, kInf = Measure::kInfinity;
  return {
      {"threshold", 1e-3, kMany},
      {"criterion_layers", 0, 1},
      {"criterion_positions", 0, 1},
      {"calibration_share", 0, 1},
      {"calibration_tokens", 256, kTokens, whole},
      {"planted_width_least", 1, kMany, whole},
      {"dims", 1, m("planted_width_least"), whole},
      {"scale_highest", 2, kScale, power_of_two},
      {"scale_two_signed", 1, m("scale_highest"), power_of_two},
      {"scale_one_signed", 1, m("scale_highest"), power_of_two},
      {"vector_rise_least", 0, kInf},
      {"vector_rise_notable", 0, m("vector_rise_least")},
      {"tensor_over_vector_least", 1, kInf},
      {"tensor_over_vector_notable", 1, m("tensor_over_vector_least")},
      {"order_notable", 0, kInf},
      {"row_over_vector_low", 0, kInf},
      {"row_over_vector_high", m("row_over_vector_low"), kInf},
      {"broken_rise_least", 0, kInf},
      {"broken_rise_notable", 0, m("broken_rise_least")},
      {"decomposition_rise_most", 0, kInf},
      {"decomposition_rise_falsified", m("decomposition_rise_most"), kInf},
      {"slope_low", 0, kInf},
      {"slope_high", m("slope_low"), kInf},
      {"slope_notable", 0, m("slope_low")},
      {"slope_scale_first", 1, m("scale_highest") / 2, power_of_two},
      {"slope_scale_last", 2 * m("slope_scale_first"), m("scale_highest"), power_of_two},
      {"zeropoint_edge_most", 0, 1},
      {"zeropoint_edge_notable", m("zeropoint_edge_most"), 1},
      {"null_rise_most", 0, kInf},
      {"one_signed_loss_most", 0, kInf},
      {"natural_rise_most", 0, kInf},
      {"natural_rise_falsified", m("natural_rise_most"), kInf},
      {"speed_rows", 1, 1 << 16, whole},
      {"speed_width_first", 1, 1 << 13, whole},
      {"speed_width_last", m("speed_width_first"), 1 << 13, whole},
      {"speed_outliers", 0, m("speed_width_first"), whole},
      {"speed_outlier_scale", 0, kMany},
      {"speed_ratio_least", 0, kInf},
      {"speed_ratio_notable", 1, kInf},
      {"memory_ratio_most", 0, 1},
      {"tokens", 256, kTokens, whole},
      {"resamples", 100, 1e5, whole},
      {"speed_rounds", 1, 1000, whole},
  };
}

// What every measurement takes.
struct Bench {
  const Manifest& manifest;
  const Workplace& workplace;
  const ArmTexts& texts;

  quant::Setting setting() const { return {*workplace.table, workplace.threads, model::FloatType::float32}; }
  // Channels by the criterion.
  std::optional<std::vector<Index>> outliers_of(const model::OpenedModel& model) const {
    quant::SurveySettings criterion;
    criterion.magnitudes = {manifest("threshold")};
    criterion.rule = {manifest("criterion_layers"), manifest("criterion_positions")};
    return find_outliers(setting(), model, texts, criterion, workplace.stop);
  }
};

// All that follows gives nothing when a signal came.

// The losses of a model in every form.
std::optional<std::vector<eval::FormLosses>> losses_in_forms(const Bench& b,
                                                             const model::OpenedModel& model) {
  const auto threshold = static_cast<float>(b.manifest("threshold"));
  const auto calibration = calibrated(b.setting(), model, b.texts, threshold, b.workplace.stop);
  if (!calibration) return std::nullopt;
  std::vector<eval::FormLosses> all;
  for (const Int8FormName& form : kInt8Forms) {
    constexpr double kNone = 2;  // no dimension is an outlier in so large a share of positions
    quant::Plan plan{quant::find_scheme(form.scheme)};
    if (plan.scheme.decomposes()) plan.scheme.threshold = threshold;
    const quant::WeightsOfModel weights(
        model, plan, {&*calibration, form.calibrated ? b.manifest("calibration_share") : kNone});
    auto losses = losses_in(b.setting(), model, &weights, b.texts.text(), b.workplace.stop);
    if (!losses) return std::nullopt;
    all.push_back(std::move(*losses));
  }
  return all;
}

std::optional<Int8Arm> measure(const Bench& b, const model::OpenedModel& model) {
  const auto exact = losses_in(b.setting(), model, nullptr, b.texts.text(), b.workplace.stop);
  auto forms = exact ? losses_in_forms(b, model) : std::nullopt;
  if (!forms) return std::nullopt;
  std::vector<const eval::ClusteredMean*> all = {&exact->clusters};
  for (const eval::FormLosses& form : *forms) all.push_back(&form.clusters);
  const auto means =
      eval::resampled_means(all, static_cast<std::uint64_t>(b.manifest("resamples")), b.workplace.seed);
  const double bytes = b.texts.bytes_per_token();
  const auto rise = [bytes](double loss, double from) { return std::expm1((loss - from) / bytes); };
  Int8Arm arm;
  arm.float_loss = exact->loss, arm.float_bytes = exact->weight_bytes;
  for (std::size_t f = 0; f < arm.forms.size(); ++f) {
    Int8Arm::InForm& to = arm.forms[f];
    to.rise = rise((*forms)[f].loss, exact->loss);
    for (const auto& mean : means) to.samples.push_back(rise(mean[f + 1], mean[0]));
    to.counts = (*forms)[f].counts, to.bytes = (*forms)[f].weight_bytes;
  }
  return arm;
}

Control exact_control(const Int8Planted& p, double float_loss, const Manifest& manifest) {
  double most = 0;
  for (const Int8Arm& arm : p.arms) most = std::max(most, std::fabs(arm.float_loss - float_loss));
  Control c{fmt::format("{}: float32 after planting", p.name()), false, most == 0, ""};
  if (p.one_signed) c.behaved = most <= manifest("one_signed_loss_most");  // raised biases are rounded
  c.text = most == 0 ? "losses are the same to the last bit"
                     : fmt::format("losses differ by at most {:.2g} nats", most);
  return c;
}

// Of two-signed outliers: one-signed ones have raised biases at scale 1.
Control null_control(const Int8Planted& p, const Manifest& manifest) {
  double most = -Measure::kInfinity;
  for (const Int8Arm::InForm& form : p.at(1).forms) most = std::max(most, form.rise);
  return {fmt::format("{}: scale 1", p.name()), false, most <= manifest("null_rise_most"),
          fmt::format("no scheme raises perplexity by more than {}", percent(most))};
}

// Plants into copies of a model, scale after scale.
std::optional<Int8Planted> measure_planted(const Bench& b, const TrainedModel& trained,
                                           const Int8Arm& natural, bool one_signed,
                                           std::vector<Control>& controls) {
  Int8Planted p{trained.title(), trained.parameters, one_signed, planted_scales(b.manifest), {}};
  const auto natural_outliers = b.outliers_of(trained.model);
  if (!natural_outliers) return std::nullopt;
  for (const double scale : p.scales) {
    b.workplace.say(fmt::format("{} x {:.0f}", p.name(), scale));
    const auto gpt = copy_of(trained.model);
    quant::Planting planting{scale, one_signed, {}, {}};
    planting.channels =
        quant::choose_channels(*gpt, static_cast<Index>(b.manifest("dims")), {}, b.workplace.seed);
    const quant::Planted planted = quant::plant(*gpt, planting);
    const model::OpenedModel model = in_memory(trained.model, *gpt);
    auto arm = measure(b, model);
    if (!arm) return std::nullopt;
    p.arms.push_back(std::move(*arm));
    if (scale != judged_scale(b.manifest, one_signed)) continue;
    const auto found = b.outliers_of(model);
    if (!found) return std::nullopt;
    controls.push_back(planted_control(p.name(), planted.planting.channels, *natural_outliers, *found));
  }
  controls.push_back(exact_control(p, natural.float_loss, b.manifest));
  if (!one_signed) controls.push_back(null_control(p, b.manifest));
  return p;
}

// False when a signal came.
bool measure_models(const Bench& b, const std::vector<TrainedModel>& trained, Int8Findings& found,
                    std::vector<Control>& controls) {
  for (const TrainedModel& t : trained) {
    b.workplace.say(fmt::format("{}: as it was trained", t.title()));
    auto arm = measure(b, t.model);
    if (!arm) return false;
    found.natural.push_back({t.title(), std::move(*arm)});
    if (static_cast<double>(t.model.config.model.width) < b.manifest("planted_width_least")) continue;
    for (const bool one_signed : {false, true}) {
      auto planted = measure_planted(b, t, found.natural.back().arm, one_signed, controls);
      if (!planted) return false;
      found.planted.push_back(std::move(*planted));
    }
  }
  return true;
}

std::vector<Finding> findings_of(const Int8Findings& found, const Manifest& m) {
  const std::vector<Claim> claims = claims_of(m);
  return {broken_by_outliers(claims[0], found.planted, m),
          in_order(claims[1], found.planted, m),
          as_bad_by_rows(claims[2], found.planted, m),
          mended(claims[3], found.planted, m),
          squared(claims[4], found.planted, m),
          edge_gone(claims[5], found.planted, m),
          harmless(claims[6], found.natural, m),
          pays(claims[7], found.speed.front(), m),
          pays_more(claims[8], found.speed.front(), m),
          smaller(claims[9], found.natural, m)};
}

std::optional<Result> run(const Manifest& manifest, const Workplace& w) {
  const auto trained = trained_models(w, w.effort == Effort::quick ? "int8-quick" : "int8-full");
  if (!trained) return std::nullopt;
  const ArmTexts texts(w.data, trained->front().model.config, manifest);
  Int8Findings found;
  found.protocol = protocol_of(texts.text()), found.bytes_per_token = texts.bytes_per_token();
  Result result;
  if (!measure_models({manifest, w, texts}, *trained, found, result.controls)) return std::nullopt;
  auto speed = measure_int8_speed(w, manifest);
  if (!speed) return std::nullopt;
  found.speed = std::move(*speed);
  result.findings = findings_of(found, manifest);
  result.facts = facts_of(texts.text());
  for (const TrainedModel& t : *trained) result.facts.push_back(t.fact());
  add_page(found, result);
  return result;
}

}  // namespace

Study int8_study() {
  return {"int8",
          "LLM.int8(): outliers break int8, decomposition mends it",
          "three models of 1.7M parameters, 4M bytes each: about twenty minutes",
          "nine models of up to 4.8M parameters, 16M bytes each: an estimated eight hours",
          claims_of,
          allowed_of,
          run};
}

}  // namespace loglog::studies
