// What a night plans and what it found, in words.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "fit/procedure.hpp"
#include "night/notes.hpp"
#include "predict/prediction_file.hpp"
#include "predict/store_table.hpp"

namespace loglog::night {
namespace {

using sweep::Store;

std::string minutes(double seconds) {
  return seconds < 120    ? fmt::format("{:.0f} s", seconds)
         : seconds < 7200 ? fmt::format("{:.0f} min", seconds / 60)
                          : fmt::format("{:.1f} h", seconds / 3600);
}

// "a = 0.56 (95% interval 0.51 to 0.61)".
std::string in_words(const fit::Interval& i) {
  if (!std::isfinite(i.low) || !std::isfinite(i.high))
    return fmt::format("{} = {:.3g}, without an interval", i.name, i.value);
  return fmt::format("{} = {:.3g} (95% interval {:.3g} to {:.3g})", i.name, i.value, i.low, i.high);
}

std::string tuning_sentence(const Json& tuning) {
  return fmt::format("Learning rate: {:.3g} times that of the rule{}.\n", tuning.at("rate").get<double>(),
                     tuning.at("at_end").get<bool>() ? ", at the end of what was tried" : "");
}

std::string noise_sentence(const Json& noise) {
  if (!noise.contains("sigma")) return "Too few repeated runs ended: the noise of seeds is not known.\n";
  return fmt::format(
      "Runs that differ in their seed alone differ by {:.2g}% (standard deviation, {} runs).\n",
      100 * noise.at("sigma").get<double>(), noise.at("runs").get<int>());
}

// The exponent by one procedure, or why there is none.
std::string exponent_sentence(const fit::Table& fitted, const char* law) {
  try {
    const fit::FitResult result = fit::find_procedure(law).run(fitted, {});
    std::string text = fmt::format("By {} from {} runs, the best size grows as C^a, {}", law, result.n,
                                   in_words(result.optimum.front()));
    return text + (result.identified ? ".\n" : "; but these runs do not determine the law.\n");
  } catch (const Error& error) {
    return fmt::format("{} could not be fitted: {}\n", law, error.what());
  }
}

std::string law_sentences(const Store& store) {
  try {
    const fit::Table fitted = predict::table_of(store, kFitted);
    return exponent_sentence(fitted, "chinchilla") + exponent_sentence(fitted, "isoflop");
  } catch (const Error& error) {
    return fmt::format("No law: {}\n", error.what());
  }
}

std::string score_sentences(const Path& folder, const Json& scoring) {
  if (scoring.contains("skipped")) return "";
  const Json scores = Json::parse(read_text(folder / kScores));
  std::string text;
  for (const Json& run : scores.at("files").at(0).at("runs")) {
    text += fmt::format("{:.3g} times the dearest run that was fitted: foretold {:.4f} [{:.4f}, {:.4f}], ",
                        run.at("times_dearest").get<double>(), run.at("said").get<double>(),
                        run.at("lo").get<double>(), run.at("hi").get<double>());
    if (run.contains("reached"))
      text += fmt::format("reached {:.4f}, {:+.2f}% off, {} the interval.\n", run.at("reached").get<double>(),
                          100 * run.at("error").get<double>(),
                          run.at("inside").get<bool>() ? "inside" : "outside");
    else
      text += fmt::format("not reached: {}.\n", run.at("state").get<std::string>());
  }
  return text +
         fmt::format("{} of {} inside.\n", scores.at("inside").get<int>(), scores.at("reached").get<int>());
}

}  // namespace

std::string plan_text(const Path& folder) {
  const Store store(folder / kStore, Store::Mode::read);
  const Json json = note(store, "plan").value_or(Json::object());
  const Settings settings = settings_of(note(store, "settings").value_or(Json::object()));
  const NightPlan plan = plan_of(json);
  std::string text =
      fmt::format("{:.3g} hours, {:.3g} tokens to train on, windows of {}; {} set the size of this night\n",
                  settings.hours, json.at("train_tokens").get<double>(), json.at("context").get<int>(),
                  plan.limit == "text" ? "the length of the text" : "the hours");
  text += fmt::format(
      "  tuning      about {:>8}   {} learning rates and more where the best is at an end, 3 sizes\n",
      minutes(plan.tuning_seconds), std::size(kRates));
  text += fmt::format("  noise       about {:>8}   {} seeds of 2 sizes\n", minutes(plan.noise_seconds),
                      kNoiseSeeds);
  text += fmt::format(
      "  fitted      about {:>8}   {} budgets from {:.2g} to {:.2g} FLOPs, two seeds at the {} cheapest\n",
      minutes(plan.sweep_seconds), plan.budgets.size(), plan.budgets.front().flops, plan.budgets.back().flops,
      plan.repeated);
  for (const Budget& b : plan.budgets)
    text += fmt::format("              {:>12.3g} FLOPs   {}\n", b.flops, fmt::join(b.sizes, " "));
  text += fmt::format("  foretold    about {:>8}   {:.2g} FLOPs, then trained\n", minutes(plan.far_seconds),
                      fmt::join(plan.far, ", "));
  return text + fmt::format("  together    about {:>8}\n", minutes(plan.seconds()));
}

std::string summary_text(const Path& folder) {
  const Store store(folder / kStore, Store::Mode::read);
  std::string text;
  if (const auto tuning = note(store, kTuning)) text += tuning_sentence(*tuning);
  if (const auto noise = note(store, kNoise)) text += noise_sentence(*noise);
  if (const auto design = note(store, kDesign); design && design->contains("half_width"))
    text += fmt::format(
        "The sweep was expected to give the loss of the dearest run that is foretold to +-{:.2g}%.\n",
        100 * design->at("half_width").get<double>());
  if (note(store, kFitted)) text += law_sentences(store);
  const auto foretelling = note(store, "foretelling");
  if (foretelling && foretelling->contains("refused"))
    text += fmt::format("Nothing was foretold: {}\n", foretelling->at("refused").get<std::string>());
  if (const auto scoring = note(store, "scoring")) text += score_sentences(folder, *scoring);
  return text;
}

}  // namespace loglog::night
