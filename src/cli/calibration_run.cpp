#include "cli/calibration_run.hpp"

#include "cli/arguments.hpp"

namespace loglog::cli {

CLI::Option* add_calibration_options(CLI::App& verb, CalibrationArguments& a) {
  CLI::Option* const calibrate =
      verb.add_option("--calibrate", a.data.path, "token file whose training part shows how inputs are")
          ->check(not_empty());
  verb.add_option("--calibration-tokens", a.data.tokens, "how much of it; default: 65536")
      ->needs(calibrate)
      ->check(whole_between(1, 1'000'000'000'000));
  verb.add_option("--calibration-share", a.share,
                  "a dimension that is an outlier in so large a share of positions keeps float32 weights")
      ->needs(calibrate)
      ->check(number_between(0, 1))
      ->capture_default_str();
  return calibrate;
}

std::optional<CalibrationRun> calibrate(const CalibrationArguments& a, const ModelChoice& choice,
                                        float threshold, MemoryLine line) {
  const ModelData data(a.data, choice);
  ModelPasses passes(choice, nullptr, data, 0, 0, line);
  CalibrationRun run{quant::Calibration(threshold), {}};
  quant::CalibrationProbe probe(choice.config().model, run.inputs);
  if (!passes.run({}, &probe)) return std::nullopt;
  run.record = {data.file().checksum_text(), run.inputs.positions(), a.share};
  return run;
}

}  // namespace loglog::cli
