// What a scheme is told of a model's inputs before it quantises: the options that name the text, and the pass over it.
#pragma once
#include "cli/model_data.hpp"
#include "quant/calibration.hpp"
#include "quant/model_file.hpp"

namespace loglog::cli {

struct CalibrationArguments {
  DataArguments data = {.path = "", .split = "train", .tokens = std::uint64_t{65536}};  // no path: none
  double share = 0.06;  // quant::Calibrated::share
};
// --calibrate, which is returned, and what needs it.
CLI::Option* add_calibration_options(CLI::App& verb, CalibrationArguments& arguments);

// What a model's linear layers take on the calibration text, in float32; nothing when a signal came. The choice's type is float32.
struct CalibrationRun {
  quant::Calibration inputs;
  quant::CalibrationRecord record;
};
std::optional<CalibrationRun> calibrate(const CalibrationArguments& arguments, const ModelChoice& choice,
                                        float threshold, MemoryLine line);

}  // namespace loglog::cli
