// loglog outliers MODEL: what its activations are, and what it is without some of them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "cli/arguments.hpp"
#include "cli/outliers.hpp"
#include "cli/progress_line.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "kernels/table.hpp"
#include "quant/activations/activation_dump.hpp"
#include "quant/activations/activation_probe.hpp"
#include "train/memory.hpp"

namespace loglog::cli {
namespace {

using quant::Index;
using quant::Spot;

const float* parameter(const model::Gpt& gpt, const std::string& name) {
  for (const model::NamedParameter& p : gpt.parameters())
    if (p.name == name && !p.tensor.empty()) return p.tensor.value;
  return nullptr;
}

// Copies, since the model may be gone when they are told. A norm without bias has 0.
OutlierResult::NormValues norm_values(const model::Gpt& gpt, const quant::ActivationSums& sums) {
  std::map<Spot, std::vector<std::pair<float, float>>> values;
  for (const quant::ActivationSums::Entry& entry : sums.entries()) {
    const auto name = quant::norm_before(entry.spot);
    const float* const gain = name ? parameter(gpt, *name + ".gain") : nullptr;
    if (gain == nullptr) continue;
    const float* const bias = parameter(gpt, *name + ".bias");
    for (Index j = 0; j < entry.sums.width(); ++j)
      values[entry.spot].emplace_back(gain[j], bias == nullptr ? 0.0f : bias[j]);
  }
  return [values](const Spot& spot, Index channel) -> std::optional<std::pair<float, float>> {
    const auto at = values.find(spot);
    if (at == values.end()) return std::nullopt;
    return at->second[static_cast<std::size_t>(channel)];
  };
}

// Shows how far one of several passes is.
class PassLine {
 public:
  PassLine(bool terminal, std::uint64_t windows) : line_(terminal), windows_(windows) {}
  std::function<void(std::uint64_t)> of(const std::string& pass) {
    return [this, pass](std::uint64_t done) {
      line_.show([&] { return fmt::format("{}: window {}/{}", pass, done, windows_); });
    };
  }
  eval::OnPass on_pass() {
    return [this](const std::string& pass) { return of(pass); };
  }

 private:
  ProgressLine line_;
  std::uint64_t windows_;
};

const std::vector<std::string> kDefaultSites = {"qkv", "up"};

void require_site(const char* option, const std::string& site, const model::ModelConfig& model) {
  if (!model.has_mlp() && (site == "mlp_stream" || site == "up" || site == "down"))
    throw UsageError(fmt::format(
        "{} '{}': this model has no such site, its blocks are attention alone (model.mlp is none)", option,
        site));
}

// Channels of the hidden states that count.
Index width_of(const quant::OutlierSurvey& survey) {
  return static_cast<Index>(survey.criteria.front().counts->positions().size());
}

}  // namespace

const eval::SurveyedModel* OutlierResult::model() const {
  return std::get_if<eval::SurveyedModel>(&measured);
}

const quant::OutlierSurvey& OutlierResult::survey() const {
  return model() != nullptr ? model()->survey : std::get<quant::OutlierSurvey>(measured);
}

std::uint64_t OutlierResult::positions() const {
  return survey().sums.entries().front().sums.rows();
}

bool OutlierResult::is_finite() const {
  return model() != nullptr ? model()->is_finite() : survey().sums.nonfinite() == 0;
}

std::vector<std::string> sites_of_model(const std::vector<std::string>& asked,
                                        const model::ModelConfig& model) {
  if (asked.empty()) return model.has_mlp() ? kDefaultSites : std::vector<std::string>{kDefaultSites.front()};
  for (const std::string& site : asked) require_site("--sites", site, model);
  return asked;
}

std::optional<eval::SurveyedModel> survey_showing(const OutlierArguments& a, const ModelData& data,
                                                  ModelPasses& passes, bool terminal) {
  PassLine line(terminal, data.sample().windows());
  return eval::survey_model(passes.model(), data, a.survey, stop_requested, line.on_pass());
}

std::optional<OutlierResult> measure_outliers(const OutlierArguments& a, const ModelChoice& choice,
                                              const ModelData& data, ModelPasses& passes, bool terminal) {
  OutlierResult r;
  r.subject = a.model.path;
  r.data = data.file().path().native();
  r.isa = choice.table().name;
  r.step = choice.opened().step;
  r.context = static_cast<std::uint64_t>(choice.config().model.context);
  auto measured = survey_showing(a, data, passes, terminal);
  if (!measured) return std::nullopt;
  r.norm = norm_values(passes.gpt(), measured->survey.sums);
  r.measured = std::move(*measured);
  return r;
}

std::optional<eval::Zeroing> measure_zeroing(const OutlierArguments& a, const eval::SurveyedModel& model,
                                             const ModelData& data, ModelPasses& passes, bool terminal) {
  const quant::OutlierSurvey& s = model.survey;
  eval::ZeroingPlan plan{s.sites, s.outliers(), width_of(s), a.draws, a.survey.seed, {}};
  if (plan.channels.empty()) plan.channels = quant::top_of_all(s.sums, s.sites, a.survey.top);
  const auto count = static_cast<Index>(plan.channels.size());
  if (2 * count > plan.width)
    throw UsageError(
        fmt::format("--zero: {} of {} channels leave no {} others to compare with; a higher "
                    "--magnitude or a lower --top chooses fewer",
                    count, plan.width, count));
  if (a.by_layer)
    for (const auto& [layer, heads] : model.attention.layers()) plan.layers.push_back(layer);
  PassLine line(terminal, data.sample().windows());
  return eval::zero_channels(passes.model(), data, plan, stop_requested, line.on_pass());
}

double mean_top1_alone(const std::vector<eval::Zeroed>& by_layer) {
  double sum = 0;
  for (const eval::Zeroed& one : by_layer) sum += one.top1;
  return sum / static_cast<double>(by_layer.size());
}

int outliers_of_model(OutlierArguments a, const Environment& environment) {
  const ModelChoice choice(a.model, environment);
  a.survey.sites = sites_of_model(a.survey.sites, choice.config().model);
  if (a.zero && choice.config().model.block == "parallel" &&
      std::ranges::find(a.survey.sites, "mlp_stream") != a.survey.sites.end())
    throw UsageError(
        "--zero: --sites mlp_stream of a parallel block has passed the perceptron by before that reads it; "
        "attention_stream is what enters the block");
  const ModelData data(a.data, choice);
  install_stop_signals();
  ModelPasses passes(choice, data, static_cast<Index>(a.windows));
  auto result = measure_outliers(a, choice, data, passes, environment.terminal);
  if (!result) return stop_exit_code();
  if (a.zero) {
    result->zeroing = measure_zeroing(a, *result->model(), data, passes, environment.terminal);
    if (!result->zeroing) return stop_exit_code();
  }
  return tell(a, *result);
}

int dump_activations(const OutlierArguments& a, const Environment& environment) {
  const ModelChoice choice(a.model, environment);
  require_site("--dump", a.dump, choice.config().model);
  const ModelData data(a.data, choice);
  refuse_overwriting(a.output, {a.model.path, data.file().path()});
  check_writable(real_file_system(), a.output);
  const auto context = static_cast<std::uint64_t>(choice.config().model.context);
  const std::uint64_t rows = data.sample().windows() * context;
  const model::ModelConfig& m = choice.config().model;
  const bool is_head = a.dump.starts_with("head");
  const double bytes = static_cast<double>(rows) * static_cast<double>(is_head ? 1 : m.layers) *
                       static_cast<double>(a.dump == "down" ? m.hidden() : m.width) * sizeof(float);
  if (bytes > 0.8 * static_cast<double>(train::available_memory()))
    throw RefusedError(fmt::format(
        "--dump {}: {} positions take {:.1f} MiB of memory, {:.1f} MiB are "
        "available; --tokens takes fewer",
        a.dump, rows, bytes / (1 << 20), static_cast<double>(train::available_memory()) / (1 << 20)));
  install_stop_signals();
  ModelPasses passes(choice, data, static_cast<Index>(a.windows));
  quant::ActivationDump dump(rows);
  quant::ActivationProbe probe({&dump}, nullptr, {a.dump});
  PassLine line(environment.terminal, data.sample().windows());
  const auto evaluation =
      passes.run([show = line.of("activations")](std::uint64_t w, std::span<const float>,
                                                 std::span<const data::Token>) { show(w + 1); },
                 &probe);
  if (!evaluation) return stop_exit_code();
  dump.write(real_file_system(), a.output,
             {{"format", "loglog activations"},
              {"site", a.dump},
              {"model", a.model.path},
              {"step", fmt::format("{}", choice.opened().step)},
              {"data", data.file().path().native()},
              {"checksum", data.file().checksum_text()},
              {"split", a.data.split},
              {"context", fmt::format("{}", context)}});
  fmt::print("{}: {} of {} layer{}, {} positions\n", a.output, a.dump, dump.spots(),
             dump.spots() == 1 ? "" : "s", dump.rows());
  return static_cast<int>(std::isfinite(evaluation->loss) ? Exit::done : Exit::diverged);
}

}  // namespace loglog::cli
