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
#include "quant/activations/zeroing_probe.hpp"
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
  eval::OnWindow of(std::string pass) {
    return [this, pass = std::move(pass)](std::uint64_t w, std::span<const float>,
                                          std::span<const data::Token>) {
      line_.show([&] { return fmt::format("{}: window {}/{}", pass, w + 1, windows_); });
    };
  }

 private:
  ProgressLine line_;
  std::uint64_t windows_;
};

// Channels of the hidden states that count.
Index width_of(const OutlierResult& r) {
  return static_cast<Index>(r.survey.criteria.front().counts->positions().size());
}

}  // namespace

bool OutlierResult::is_finite() const {
  return survey.sums.nonfinite() == 0 && (!loss || std::isfinite(*loss));
}

std::optional<OutlierResult> measure_outliers(const OutlierArguments& a, const ModelChoice& choice,
                                              const ModelData& data, ModelPasses& passes, bool terminal) {
  OutlierResult r;
  r.subject = a.model.path;
  r.data = data.file().path().native();
  r.isa = choice.table().name;
  r.step = choice.opened().step;
  r.sites = a.survey.sites;
  r.context = static_cast<std::uint64_t>(choice.config().model.context);
  quant::AttentionFocus focus;
  PassLine line(terminal, data.sample().windows());
  const auto source = [&](const std::vector<quant::ActivationSink*>& sinks) {
    const bool is_first = !r.loss;
    quant::ActivationProbe probe(sinks, is_first ? &focus : nullptr,
                                 is_first ? std::vector<std::string>{} : r.sites);
    const auto evaluation = passes.run(line.of(is_first ? "activations" : "relative threshold"), &probe);
    if (!evaluation) return false;
    r.loss = evaluation->loss;
    return true;
  };
  auto survey = quant::survey(source, a.survey);
  if (!survey) return std::nullopt;
  r.survey = std::move(*survey);
  r.positions = r.survey.sums.entries().front().sums.rows();
  std::erase_if(r.sites, [&](const std::string& site) {  // a model without MLP has no up
    return std::ranges::none_of(r.survey.sums.entries(), [&](const auto& e) { return e.spot.site == site; });
  });
  r.norm = norm_values(passes.gpt(), r.survey.sums);
  r.attention = std::move(focus);
  return r;
}

std::optional<Zeroing> measure_zeroing(const OutlierArguments& a, const OutlierResult& r, ModelPasses& passes,
                                       bool terminal) {
  std::vector<Index> chosen = r.survey.outliers();
  const bool by_criterion = !chosen.empty();
  if (!by_criterion) chosen = quant::top_of_all(r.survey.sums, r.sites, a.survey.top);
  const auto count = static_cast<Index>(chosen.size());
  if (2 * count > width_of(r))
    throw UsageError(
        fmt::format("--zero: {} of {} channels leave no {} others to compare with; a higher "
                    "--magnitude or a lower --top chooses fewer",
                    count, width_of(r), count));
  PassLine line(terminal, r.positions / r.context);
  const auto without = [&](const std::string& pass, const std::vector<Index>& channels,
                           std::optional<Index> layer) -> std::optional<Zeroed> {
    quant::ZeroingProbe probe(r.sites, channels, layer);
    const auto evaluation = passes.run(line.of(pass), &probe);
    if (!evaluation) return std::nullopt;
    return Zeroed{channels, layer, evaluation->loss, probe.focus().top1()};
  };
  const auto others = [&](std::uint64_t draw) {
    return quant::random_channels(width_of(r), chosen, count, a.survey.seed, draw);
  };
  const auto outliers = without("zeroed", chosen, {});
  if (!outliers) return std::nullopt;
  Zeroing result{by_criterion, *r.loss, r.attention->top1(), *outliers, {}, {}, {}};
  for (std::uint64_t draw = 0; draw < a.draws; ++draw) {
    const auto random = without(fmt::format("random channels {}/{}", draw + 1, a.draws), others(draw), {});
    if (!random) return std::nullopt;
    result.random.push_back(*random);
  }
  if (!a.by_layer) return result;
  for (const auto& [layer, heads] : r.attention->layers()) {
    const auto alone = without(fmt::format("zeroed in layer {}", layer), chosen, layer);
    const auto random = without(fmt::format("random channels in layer {}", layer),
                                others(static_cast<std::uint64_t>(layer)), layer);
    if (!alone || !random) return std::nullopt;
    result.by_layer.push_back(*alone);
    result.random_by_layer.push_back(*random);
  }
  return result;
}

double mean_top1_alone(const std::vector<Zeroed>& by_layer) {
  double sum = 0;
  for (const Zeroed& one : by_layer) sum += one.top1;
  return sum / static_cast<double>(by_layer.size());
}

int outliers_of_model(const OutlierArguments& a, const Environment& environment) {
  const ModelChoice choice(a.model, environment);
  const ModelData data(a.data, choice);
  install_stop_signals();
  ModelPasses passes(choice, data, static_cast<Index>(a.windows));
  auto result = measure_outliers(a, choice, data, passes, environment.terminal);
  if (!result) return stop_exit_code();
  if (a.zero) {
    result->zeroing = measure_zeroing(a, *result, passes, environment.terminal);
    if (!result->zeroing) return stop_exit_code();
  }
  return tell(a, *result);
}

int dump_activations(const OutlierArguments& a, const Environment& environment) {
  const ModelChoice choice(a.model, environment);
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
  const auto evaluation = passes.run(line.of("activations"), &probe);
  if (!evaluation) return stop_exit_code();
  if (dump.spots() == 0) throw UsageError(fmt::format("--dump {}: this model has no such site", a.dump));
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
