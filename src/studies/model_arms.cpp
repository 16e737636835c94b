#include "studies/model_arms.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/error.hpp"
#include "quant/activations/activation_probe.hpp"
#include "studies/built_in.hpp"
#include "studies/shown_command.hpp"
#include "sweep/store.hpp"

namespace loglog::studies {

std::string TrainedModel::title() const {
  return fmt::format("{}, seed {}", name, seed);
}

std::string TrainedModel::fact() const {
  const model::ModelConfig& m = model.config.model;
  return fmt::format(
      "model {}: {} layers of width {}, {:.4g} parameters, {:.4g} tokens, validation loss {:.4f} "
      "nats",
      title(), m.layers, m.width, parameters, tokens, loss);
}

std::optional<std::vector<TrainedModel>> trained_models(const Workplace& w, const std::string& sweep_name,
                                                        std::vector<std::string>* diverged) {
  const Path file = w.folder / (sweep_name + ".toml"), db = w.folder / (sweep_name + ".db");
  real_file_system().create_directories(w.folder);
  write_atomically(real_file_system(), file, built_in_config(sweep_name));
  if (!w.train({file, db, {}})) return std::nullopt;
  const sweep::Store store(db, sweep::Store::Mode::read);
  std::vector<TrainedModel> models;
  for (const sweep::RunRow& row : store.runs_of(sweep_name)) {
    if (row.state == sweep::State::diverged && diverged != nullptr) {
      diverged->push_back(row.spec.name);
      continue;
    }
    const auto folder = store.kept_run(row.spec.identity);
    if (row.state != sweep::State::done || !folder)
      throw Error(
          Exit::failed,
          fmt::format("run {} of '{}' is {}{}", row.spec.name, db.native(), sweep::state_name(row.state),
                      folder ? "" : ", and its model was not kept: begin in an empty folder"));
    models.push_back({row.spec.size, row.spec.seed, *folder, model::open_model(*folder), row.spec.n,
                      row.spec.d, row.loss.value_or(std::nan(""))});
  }
  return models;
}

ArmTexts::ArmTexts(const Path& data, const model::RunConfig& config, const Manifest& manifest)
    : text_(data, config, "validation", static_cast<std::uint64_t>(manifest("tokens"))),
      calibration_(data, config, "train", static_cast<std::uint64_t>(manifest("calibration_tokens"))) {}

double ArmTexts::bytes_per_token() const {
  const double bytes = text_.file().bytes_per_token();
  return bytes > 0 ? bytes : 1;
}

std::string protocol_of(const eval::WindowedText& text) {
  return fmt::format(
      "{} tokens in {} windows, each token predicted from those before it in its window (stride = window).",
      text.sample().tokens(), text.sample().windows());
}

std::vector<std::string> facts_of(const data::TokenFile& file) {
  const auto command = file.meta().value("command", std::vector<std::string>());
  return {fmt::format("text: {} ({} tokens, {})", file.path().filename().native(), file.size(),
                      file.checksum_text()),
          command.empty() ? "how the text was made is not known"
                          : fmt::format("the text was made by `{}`", shown_command(command))};
}

std::vector<std::string> facts_of(const eval::WindowedText& text) {
  std::vector<std::string> facts = facts_of(text.file());
  facts.push_back(protocol_of(text));
  return facts;
}

quant::RunningModel running(const quant::Setting& setting, const model::OpenedModel& model,
                            const quant::ModelForm* form, const eval::WindowedText& text) {
  return {setting, model, form, eval::WindowPasses::shape(model.config.model, text)};
}

std::optional<quant::Calibration> calibrated(const quant::Setting& setting, const model::OpenedModel& model,
                                             const ArmTexts& texts, float threshold, const Stop& stop) {
  quant::RunningModel in_float = running(setting, model, nullptr, texts.calibration());
  quant::Calibration result(threshold);
  quant::CalibrationProbe probe(model.config.model, result);
  if (!eval::WindowPasses(in_float, texts.calibration()).run(stop, {}, &probe)) return std::nullopt;
  return result;
}

std::optional<eval::FormLosses> losses_in(const quant::Setting& setting, const model::OpenedModel& model,
                                          const quant::ModelForm* form, const eval::WindowedText& text,
                                          const Stop& stop) {
  quant::RunningModel in_form = running(setting, model, form, text);
  return eval::form_losses(in_form, text, stop);
}

std::optional<std::vector<quant::Index>> find_outliers(const quant::Setting& setting,
                                                       const model::OpenedModel& model, const ArmTexts& texts,
                                                       quant::SurveySettings criterion, const Stop& stop) {
  quant::RunningModel in_float = running(setting, model, nullptr, texts.text());
  eval::WindowPasses passes(in_float, texts.text());
  criterion.relative = 0;  // nothing but the criterion is asked
  criterion.permutations = 1;
  const auto survey = quant::survey(
      [&](const std::vector<quant::ActivationSink*>& sinks) {
        quant::ActivationProbe probe(sinks, nullptr, criterion.sites);
        return passes.run(stop, {}, &probe).has_value();
      },
      criterion);
  if (!survey) return std::nullopt;
  return survey->outliers();
}

Control planted_control(const std::string& model, const std::vector<quant::Index>& planted,
                        const std::vector<quant::Index>& natural, const std::vector<quant::Index>& found) {
  std::vector<quant::Index> expected;
  std::ranges::set_union(planted, natural, std::back_inserter(expected));
  return {fmt::format("{}: planted channels found", model), true, found == expected,
          fmt::format("{} planted beside {} that were there, {} found{}", planted.size(), natural.size(),
                      found.size(), found == expected ? "" : ", others")};
}

std::unique_ptr<model::Gpt> copy_of(const model::OpenedModel& model) {
  auto gpt = std::make_unique<model::Gpt>(model.config.model, model::BatchShape{1, 1},
                                          model::FloatType::float32, model::Purpose::inference);
  model::load_parameters(model, *gpt);
  return gpt;
}

model::OpenedModel in_memory(const model::OpenedModel& model, const model::Gpt& gpt) {
  model::OpenedModel result = model;
  result.parameters = std::make_shared<model::GptParameters>(gpt);
  return result;
}

}  // namespace loglog::studies
