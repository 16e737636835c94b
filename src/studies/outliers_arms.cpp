#include "studies/outliers_arms.hpp"

#include <fmt/format.h>

#include "quant/activations/activation_probe.hpp"
#include "quant/activations/rotation.hpp"
#include "quant/plant.hpp"

namespace loglog::studies {
namespace {

std::optional<eval::SurveyedModel> survey_of(const OutlierBench& b, const model::OpenedModel& model) {
  quant::RunningModel in_memory = running(b.setting(), model, nullptr, b.text);
  return eval::survey_model(in_memory, b.text, b.survey, b.workplace.stop);
}

// Adds what a survey counts.
void count_into(NullCounts& all, const quant::OutlierSurvey& survey) {
  all.outliers += survey.criteria.front().verdict.outliers.size();
  all.relative += survey.criteria.back().verdict.outliers.size();
  all.kurtosis.push_back(survey.kurtosis(kCriterionSites));
  all.overlap.push_back(survey.overlap.observed);
}

// The loss without these channels.
std::optional<double> loss_without(const OutlierBench& b, const model::OpenedModel& model,
                                   const std::vector<Index>& channels) {
  quant::RunningModel in_memory = running(b.setting(), model, nullptr, b.text);
  const eval::ZeroingPlan plan{kCriterionSites, channels, model.config.model.width, 0, b.workplace.seed, {}};
  const auto zeroed = eval::zero_channels(in_memory, b.text, plan, b.workplace.stop);
  if (!zeroed) return std::nullopt;
  return zeroed->chosen.loss;
}

}  // namespace

std::string name_of(const quant::Criterion& c) {
  return c.is_relative ? fmt::format("{:g} x median RMS", c.magnitude) : fmt::format("{:.1f}", c.magnitude);
}

std::string criterion_text(const Manifest& m) {
  const quant::OutlierRule rule;
  return fmt::format("{:.1f} / {:.0f}% / {:.0f}%", m("magnitude"), 100 * rule.layer_share,
                     100 * rule.position_share);
}

OutlierBench::OutlierBench(const Manifest& m, const Workplace& w, const eval::WindowedText& t)
    : manifest(m), workplace(w), text(t) {
  survey.sites = kCriterionSites;
  survey.magnitudes = {m("magnitude"), m("magnitude_lower"), m("magnitude_lowest")};
  survey.relative = m("magnitude_relative");
  survey.top = static_cast<Index>(m("top"));
  survey.permutations = static_cast<std::uint64_t>(m("permutations"));
  survey.seed = w.seed;
}

std::string LadderRun::name() const {
  return trained->title();
}

std::optional<LadderRun> climb(const OutlierBench& b, const TrainedModel& trained) {
  LadderRun run{&trained, {}, {}};
  for (const model::OpenedModel& checkpoint : model::open_checkpoints(trained.folder)) {
    b.workplace.say(fmt::format("{}, step {}", run.name(), checkpoint.step));
    auto survey = survey_of(b, checkpoint);
    if (!survey) return std::nullopt;
    run.rungs.push_back(eval::rung_of(fmt::format("{}, step {}", run.name(), checkpoint.step),
                                      trained.parameters, 0, checkpoint.step, *survey));
    run.last = std::move(*survey);
  }
  return run;
}

std::optional<eval::Zeroing> zero_top(const OutlierBench& b, const LadderRun& run) {
  b.workplace.say(fmt::format("{}: channels set to zero", run.name()));
  const model::OpenedModel& model = run.trained->model;
  const eval::ZeroingPlan plan{
      kCriterionSites,
      quant::top_of_all(run.last.survey.sums, kCriterionSites, static_cast<Index>(b.manifest("zeroed_dims"))),
      model.config.model.width,
      static_cast<std::uint64_t>(b.manifest("random_draws")),
      b.workplace.seed,
      {}};
  quant::RunningModel in_memory = running(b.setting(), model, nullptr, b.text);
  return eval::zero_channels(in_memory, b.text, plan, b.workplace.stop);
}

std::optional<NullCounts> survey_untrained(const OutlierBench& b, const TrainedModel& trained) {
  b.workplace.say(fmt::format("{}: untrained models", trained.name));
  NullCounts all;
  const auto gpt = copy_of(trained.model);
  for (int i = 0; i < static_cast<int>(b.manifest("untrained_models")); ++i) {
    gpt->initialise(b.workplace.seed + static_cast<std::uint64_t>(i));
    const auto survey = survey_of(b, in_memory(trained.model, *gpt));
    if (!survey) return std::nullopt;
    count_into(all, survey->survey);
  }
  return all;
}

std::optional<NullCounts> survey_rotated(const OutlierBench& b, const TrainedModel& trained) {
  b.workplace.say(fmt::format("{}: rotated", trained.name));
  NullCounts all;
  quant::RunningModel model = running(b.setting(), trained.model, nullptr, b.text);
  eval::WindowPasses passes(model, b.text);
  for (int i = 0; i < static_cast<int>(b.manifest("rotations")); ++i) {
    const auto source = [&](const std::vector<quant::ActivationSink*>& sinks) {
      quant::RotatedActivations rotated(*b.workplace.table, trained.model.config.model.width,
                                        b.workplace.seed + static_cast<std::uint64_t>(i), sinks);
      quant::ActivationProbe probe({&rotated}, nullptr, kCriterionSites);
      return passes.run(b.workplace.stop, {}, &probe).has_value();
    };
    const auto survey = quant::survey(source, b.survey);
    if (!survey) return std::nullopt;
    count_into(all, *survey);
  }
  return all;
}

std::optional<PlantedOutliers> plant_and_find(const OutlierBench& b, const TrainedModel& trained) {
  b.workplace.say(fmt::format("{}: planted", trained.name));
  const auto gpt = copy_of(trained.model);
  quant::Planting planting{b.manifest("planted_scale"), false, {}, {}};
  planting.channels =
      quant::choose_channels(*gpt, static_cast<Index>(b.manifest("planted_dims")), {}, b.workplace.seed);
  const std::vector<Index> channels = quant::plant(*gpt, planting).planting.channels;
  const model::OpenedModel planted = in_memory(trained.model, *gpt);
  const auto survey = survey_of(b, planted);
  const auto zeroed = survey ? loss_without(b, planted, channels) : std::nullopt;
  const auto unplanted = zeroed ? loss_without(b, trained.model, channels) : std::nullopt;
  if (!unplanted) return std::nullopt;
  return PlantedOutliers{
      channels,  survey->survey.outliers(), survey->survey.kurtosis(kCriterionSites), survey->loss, *zeroed,
      *unplanted};
}

std::optional<std::vector<FactorRun>> survey_factors(const OutlierBench& b,
                                                     const std::vector<TrainedModel>& trained) {
  std::vector<FactorRun> runs;
  for (const TrainedModel& t : trained) {
    b.workplace.say(fmt::format("{}, seed {}", t.name, t.seed));
    const auto survey = survey_of(b, t.model);
    if (!survey) return std::nullopt;
    runs.push_back({t.name.substr(t.name.find('-') + 1), t.seed,
                    eval::rung_of(t.name, t.parameters, t.tokens, t.model.step, *survey)});
  }
  return runs;
}

}  // namespace loglog::studies
