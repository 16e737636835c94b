// loglog quantize --budget: which part of a model quantisation harms, and whether it does so as noise would.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "cli/progress_line.hpp"
#include "cli/quantize.hpp"
#include "cli/stop_signals.hpp"
#include "eval/error_budget.hpp"
#include "kernels/table.hpp"
#include "train/run_record.hpp"

namespace loglog::cli {
namespace {

using train::Json;
using train::number;

quant::Plan budget_plan(const QuantizeArguments& a) {
  quant::Plan plan = plan_of(a, a.scheme, false);
  if (!quant::can_emulate(plan.scheme))
    throw UsageError(fmt::format(
        "--budget --scheme {}: taken apart are schemes with both factors in int8 whose outliers do not take "
        "whole dimensions with them: absmax-vector, llm-int8, ...",
        a.scheme));
  require_calibration(a, plan.scheme);
  return plan;
}

// Before anything runs.
void check_dimensions(const QuantizeArguments& a, const model::ModelConfig& config) {
  if (a.dimensions.empty()) return;
  if (std::ranges::find(a.by, "dimension") == a.by.end())
    throw UsageError("--dims names dimensions, and --by leaves them out");
  eval::parts_by_dimension(config, a.dimensions);
}

std::vector<eval::BudgetParts> parts_of(const QuantizeArguments& a, const model::ModelConfig& config,
                                        const quant::Calibration& seen) {
  std::vector<eval::BudgetParts> parts;
  for (const std::string& by : a.by) {
    if (by == "site") parts.push_back(eval::parts_by_site(config));
    if (by == "layer") parts.push_back(eval::parts_by_layer(config));
    if (by == "dimension")
      parts.push_back(a.dimensions.empty() ? eval::parts_by_dimension(config, seen, static_cast<Index>(a.top))
                                           : eval::parts_by_dimension(config, a.dimensions));
  }
  return parts;
}

double ratio(double measured, double predicted) {
  return predicted > 0 ? measured / predicted : 0;
}

// What erred over what should have; "-" where nothing did.
std::string ratio_text(double measured, double predicted) {
  return predicted > 0 ? fmt::format("{:.3f}", ratio(measured, predicted)) : "-";
}

std::string interval_text(const eval::PairedDifference& d) {
  return fmt::format("{:.6f} [{:.6f}, {:.6f}]", d.mean, d.low, d.high);
}

void print_line(const std::string& name, const std::string& alone, const std::string& rest,
                const std::string& noise, const std::string& inputs, const std::string& weights) {
  std::string line =
      fmt::format("{:<27} {:>33} {:>33} {:>33} {:>7} {:>8}", name, alone, rest, noise, inputs, weights);
  line.erase(line.find_last_not_of(' ') + 1);
  fmt::print("{}\n", line);
}

void print_line(const eval::BudgetLine& line) {
  const bool is_part = line.part != quant::ModelPart();
  print_line(quant::name_of(line.part), interval_text(line.alone), is_part ? interval_text(line.rest) : "",
             interval_text(line.noise), ratio_text(line.power.inputs, line.power.inputs_predicted),
             ratio_text(line.power.weights, line.power.weights_predicted));
}

void print_budget(const eval::ErrorBudget& budget, const quant::Scheme& scheme,
                  const eval::FormLosses& exact) {
  fmt::print(
      "{}: loss added to the {:.4f} nats per token of float32, 95% paired bootstrap over {} blocks of text\n",
      scheme.title, exact.loss, exact.clusters.clusters());
  fmt::print("noise: of variance step^2/12 in place of rounding; last, squares of errors over step^2/12\n\n");
  print_line("in int8", "this alone", "all but this", "this alone, as noise", "inputs", "weights");
  print_line(budget.everything);
  for (const eval::BudgetTable& table : budget.tables) {
    fmt::print("\n");
    for (const eval::BudgetLine& line : table.lines) print_line(line);
    if (table.sum) print_line("sum", interval_text(*table.sum), "", "", "", "");
  }
  if (scheme.depends_on_batch()) fmt::print("\na token's result depends on the other tokens of its pass\n");
}

Json power_json(double measured, double predicted) {
  Json json = {{"squares", number(measured)}, {"predicted", number(predicted)}};
  if (predicted > 0) json["ratio"] = number(ratio(measured, predicted));
  return json;
}

Json line_json(const eval::BudgetLine& line) {
  Json json = {{"name", quant::name_of(line.part)}};
  if (line.part.site) json["site"] = nn::name_of(*line.part.site);
  if (line.part.layer) json["layer"] = *line.part.layer;
  if (line.part.dimension) json["dimension"] = *line.part.dimension;
  json["alone"] = difference_json(line.alone);
  if (line.part != quant::ModelPart()) json["rest"] = difference_json(line.rest);
  json["noise"] = difference_json(line.noise);
  json["inputs"] = power_json(line.power.inputs, line.power.inputs_predicted);
  json["weights"] = power_json(line.power.weights, line.power.weights_predicted);
  return json;
}

Json budget_json(const eval::ErrorBudget& budget) {
  Json json = {{"everything", line_json(budget.everything)}, {"parts", Json::array()}};
  for (const eval::BudgetTable& table : budget.tables) {
    Json part = {{"by", table.by}, {"lines", Json::array()}};
    for (const eval::BudgetLine& line : table.lines) part["lines"].push_back(line_json(line));
    if (table.sum) part["sum"] = difference_json(*table.sum);
    json["parts"].push_back(std::move(part));
  }
  return json;
}

}  // namespace

int quantize_budget(const QuantizeArguments& a, const ModelChoice& choice, const Environment& environment) {
  const quant::Plan plan = budget_plan(a);
  check_dimensions(a, choice.config().model);
  const ModelData data(a.data, choice);
  std::optional<CalibrationRun> calibrated;
  if (!a.calibration.data.path.empty()) {
    calibrated = calibrate(a.calibration, choice, plan.scheme.threshold, MemoryLine::silent);
    if (!calibrated) return stop_exit_code();
  }
  const quant::WeightsOfModel weights(
      choice.opened(), plan,
      calibrated ? quant::Calibrated{&calibrated->inputs, a.calibration.share} : quant::Calibrated{});
  ProgressLine line(environment.terminal);
  bool is_first = true;
  const eval::FormPass pass = [&](const quant::ModelForm& form, const std::string& what, nn::Probe* probe) {
    ModelPasses passes(choice, &form, data, 0, 0, is_first ? MemoryLine::told : MemoryLine::silent);
    is_first = false;
    const auto show = [&](std::uint64_t done) {
      line.show([&] { return fmt::format("{}: window {}/{}", what, done, data.sample().windows()); });
    };
    return eval::form_losses(passes.model(), data, stop_requested, show, probe);
  };
  const eval::BudgetModel model{weights, choice.config().model, pass};
  const auto exact = eval::exact_losses(model);
  if (!exact) return stop_exit_code();
  const auto parts = parts_of(a, choice.config().model, exact->inputs);
  const auto budget = eval::error_budget(model, exact->losses, parts, a.seed);
  if (!budget) return stop_exit_code();
  if (a.json) {
    Json out = measured_on(a, choice, data, exact->losses);
    out["scheme"] = plan.scheme.name;
    out["calibrated"] = calibrated.has_value();
    out["loss"] = number(exact->losses.loss);
    out["depends_on_batch"] = plan.scheme.depends_on_batch();
    out.update(budget_json(*budget));
    fmt::print("{}\n", json_text(out));
  } else {
    print_protocol(a, choice, data, exact->losses);
    print_budget(*budget, plan.scheme, exact->losses);
  }
  return static_cast<int>(Exit::done);
}

}  // namespace loglog::cli
