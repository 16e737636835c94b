// loglog quantize: the parts of its files.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/calibration_run.hpp"
#include "eval/form_losses.hpp"

namespace loglog::cli {

using model::Index;

struct QuantizeArguments {
  ModelArguments model;
  std::string scheme = "llm-int8";
  std::string out;
  std::optional<double> threshold, alpha;
  std::optional<std::uint64_t> group;
  std::string table = "f32";
  CalibrationArguments calibration;
  bool list = false;
  bool json = false;
  // --compare and --budget
  bool compare = false, budget = false;
  DataArguments data;
  std::uint64_t seed = 1;
  // --compare
  std::vector<std::string> schemes;  // empty: all
  bool no_speed = false;
  // --budget
  std::vector<std::string> by = {"site", "layer", "dimension"};
  std::uint64_t top = 2;          // dimensions of each site
  std::vector<Index> dimensions;  // these instead, unless empty
};

// The scheme of this name with the options' numbers in place of its own. UsageError for an option that it has no use for, unless
// `lenient`: then of several schemes each takes what it can.
quant::Plan plan_of(const QuantizeArguments& a, const std::string& scheme, bool lenient);

// UsageError for a scheme that is nothing without --calibrate.
void require_calibration(const QuantizeArguments& a, const quant::Scheme& scheme);

// On which text, and how, losses were measured: for people and for programs.
void print_protocol(const QuantizeArguments& a, const ModelChoice& choice, const ModelData& data,
                    const eval::FormLosses& exact);
nlohmann::ordered_json measured_on(const QuantizeArguments& a, const ModelChoice& choice,
                                   const ModelData& data, const eval::FormLosses& exact);
nlohmann::ordered_json difference_json(const eval::PairedDifference& difference);

int quantize_compare(const QuantizeArguments& a, const ModelChoice& choice, const Environment& environment);
int quantize_budget(const QuantizeArguments& a, const ModelChoice& choice, const Environment& environment);

}  // namespace loglog::cli
