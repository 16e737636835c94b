// loglog quantize: the parts of its two files.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "cli/model_data.hpp"
#include "quant/calibration.hpp"
#include "quant/model_file.hpp"

namespace loglog::cli {

using model::Index;

struct QuantizeArguments {
  ModelArguments model;
  std::string scheme = "llm-int8";
  std::string out;
  std::optional<double> threshold, alpha;
  std::optional<std::uint64_t> group;
  std::string table = "f32";
  DataArguments calibration = {.path = "", .split = "train", .tokens = std::uint64_t{65536}};
  double share = 0.06;  // quant::Calibrated::share
  // --compare
  bool list = false;
  bool compare = false;
  DataArguments data;
  std::vector<std::string> schemes;  // empty: all
  bool no_speed = false;
  std::uint64_t seed = 1;
  bool json = false;
};

// The scheme of this name with the options' numbers in place of its own. UsageError for an option that it has no use for, unless
// `lenient`: then of several schemes each takes what it can.
quant::Plan plan_of(const QuantizeArguments& a, const std::string& scheme, bool lenient);

// What a model's linear layers take on the calibration text, in float32; nothing when a signal came.
struct CalibrationRun {
  quant::Calibration inputs;
  quant::CalibrationRecord record;
};
std::optional<CalibrationRun> calibrate(const QuantizeArguments& a, const ModelChoice& choice,
                                        float threshold, MemoryLine line);

int quantize_compare(const QuantizeArguments& a, const ModelChoice& choice, const Environment& environment);

}  // namespace loglog::cli
