#include "eval/outlier_measures.hpp"

#include <fmt/format.h>

#include <cmath>

#include "eval/form_losses.hpp"
#include "quant/activations/activation_probe.hpp"
#include "quant/activations/zeroing_probe.hpp"

namespace loglog::eval {
namespace {

std::function<void(std::uint64_t)> told(const OnPass& on_pass, const std::string& pass) {
  return on_pass ? on_pass(pass) : std::function<void(std::uint64_t)>();
}

}  // namespace

bool SurveyedModel::is_finite() const {
  return survey.sums.nonfinite() == 0 && std::isfinite(loss);
}

std::optional<SurveyedModel> survey_model(quant::RunningModel& model, const WindowedText& text,
                                          const quant::SurveySettings& settings, const Stop& stop,
                                          const OnPass& on_pass) {
  SurveyedModel r;
  bool is_first = true;
  const auto source = [&](const std::vector<quant::ActivationSink*>& sinks) {
    quant::ActivationProbe probe(sinks, is_first ? &r.attention : nullptr,
                                 is_first ? std::vector<std::string>{} : settings.sites);
    auto losses = form_losses(model, text, stop,
                              told(on_pass, is_first ? "activations" : "relative threshold"), &probe);
    if (!losses) return false;
    is_first = false;
    r.loss = losses->loss, r.clusters = std::move(losses->clusters);
    return true;
  };
  auto survey = quant::survey(source, settings, stop);
  if (!survey) return std::nullopt;
  r.survey = std::move(*survey);
  return r;
}

Zeroed whole(const SurveyedModel& model) {
  return {{}, {}, model.loss, model.clusters, model.attention.top1()};
}

std::optional<Zeroing> zero_channels(quant::RunningModel& model, const WindowedText& text,
                                     const ZeroingPlan& plan, const Stop& stop, const OnPass& on_pass) {
  const auto without = [&](const std::string& pass, const std::vector<Index>& channels,
                           std::optional<Index> layer, std::vector<Zeroed>& list) {
    quant::ZeroingProbe probe(plan.sites, channels, layer);
    auto losses = form_losses(model, text, stop, told(on_pass, pass), &probe);
    if (!losses) return false;
    list.push_back({channels, layer, losses->loss, std::move(losses->clusters), probe.focus().top1()});
    return true;
  };
  const auto others = [&](std::uint64_t draw) {
    return quant::random_channels(plan.width, plan.channels, static_cast<Index>(plan.channels.size()),
                                  plan.seed, draw);
  };
  Zeroing result;
  std::vector<Zeroed> chosen;
  if (!without("zeroed", plan.channels, {}, chosen)) return std::nullopt;
  result.chosen = std::move(chosen.front());
  for (std::uint64_t draw = 0; draw < plan.draws; ++draw)
    if (!without(fmt::format("random channels {}/{}", draw + 1, plan.draws), others(draw), {}, result.random))
      return std::nullopt;
  for (const Index layer : plan.layers)
    if (!without(fmt::format("zeroed in layer {}", layer), plan.channels, layer, result.by_layer) ||
        !without(fmt::format("random channels in layer {}", layer), others(static_cast<std::uint64_t>(layer)),
                 layer, result.random_by_layer))
      return std::nullopt;
  return result;
}

OutlierRung rung_of(std::string name, double n, double d, std::int64_t step, const SurveyedModel& m) {
  OutlierRung r{std::move(name),
                n,
                d,
                step,
                m.loss,
                m.survey.kurtosis(m.survey.sites),
                m.survey.max_to_median(m.survey.sites),
                {},
                m.survey.overlap.observed,
                m.survey.overlap.p,
                m.attention.top1(),
                m.attention.sink(),
                m.is_finite()};
  for (const quant::Criterion& c : m.survey.criteria) r.outliers.push_back(c.verdict.outliers.size());
  return r;
}

}  // namespace loglog::eval
