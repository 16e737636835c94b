#include "night/phases.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "data/token_file.hpp"
#include "design/sweep_design.hpp"
#include "fit/allocation/fitted_law.hpp"
#include "fit/noise.hpp"
#include "night/night_files.hpp"
#include "night/tuning.hpp"
#include "predict/prediction_file.hpp"
#include "predict/registration.hpp"
#include "predict/store_table.hpp"
#include "sweep/training.hpp"

namespace loglog::night {

using sweep::State;

Json Night::found(const std::string& phase) const {
  if (std::optional<Json> json = note(store, phase)) return *json;
  throw InputError(fmt::format("{}: phase '{}' of the night is not done", store.path().native(), phase));
}

bool Night::train(const char* name, const std::string& file) const {
  const std::string path = at((std::string(name) + ".toml").c_str());
  write_atomically(real_file_system(), path, file);
  try {
    return tools.loglog({"sweep", "run", path, "--store", at(kStore), "--data", at(kText)});
  } catch (const Error& error) {
    if (error.exit_code != Exit::some_failed) throw;
    tools.say("some runs failed, as it says above; the night goes on without them");
    return true;
  }
}

namespace {

Json counts_of(const Night& night, const char* sweep) {
  Json counts = Json::object();
  for (const auto& [state, count] : night.store.counts(sweep)) counts[std::string(state_name(state))] = count;
  return counts;
}

model::Index context_of(const Night& night) {
  return context_for(night.settings().hours);
}
std::vector<Rung> ladder_of(const Night& night) {
  return size_ladder(night.found("import").at("vocab").get<model::Index>(), context_of(night));
}

std::optional<Json> import_text(const Night& night) {
  const Settings settings = night.settings();
  std::vector<std::string> words = {"data", "import"};
  words.insert(words.end(), settings.texts.begin(), settings.texts.end());
  words.insert(words.end(), {"-o", night.at(kText), "--tokenizer", settings.tokenizer});
  if (!night.tools.loglog(words)) return std::nullopt;
  const data::TokenFile file = data::TokenFile::open(night.at(kText));
  return Json{{"tokens", file.size()}, {"vocab", file.vocab_size()}, {"checksum", file.checksum_text()}};
}

model::RunConfig config_of(const Night& night, const Rung& rung) {
  model::RunConfig config;
  config.model = model_of(rung, night.found("import").at("vocab").get<model::Index>(), context_of(night));
  config.data.path = night.at(kText);
  config.train.batch = std::max<model::Index>(1, 1024 / context_of(night));
  return config;
}

// Every second size, up to the largest that all the hours in one run could make the best.
std::optional<Json> time_sizes(const Night& night) {
  const std::vector<Rung> ladder = ladder_of(night);
  const double seconds = 3600 * night.settings().hours;
  Json rates = Json::array();
  for (std::size_t i = 0; i < ladder.size(); i += 2) {
    if (night.tools.stop()) return std::nullopt;
    const Rung& rung = ladder[i];
    const double rate =
        sweep::measure_rate(config_of(night, rung), night.tools.kernels, night.tools.processors).side_by_side;
    rates.push_back({{"size", rung.name}, {"N", rung.N}, {"tokens_per_s", rate}});
    const double flops = seconds * rate * rung.flops_per_token * night.tools.processors;
    if (best_rung(ladder, flops, design::stated_loss) <= i) break;
  }
  return Json{{"rates", rates}, {"processors", night.tools.processors}};
}

std::vector<Rate> rates_of(const Night& night) {
  const Json timed = night.found("timing");
  std::vector<Rate> rates;
  for (const Json& rate : timed.at("rates"))
    rates.push_back({rate.at("N").get<double>(), rate.at("tokens_per_s").get<double>()});
  return rates;
}

std::optional<Json> plan_sizes(const Night& night) {
  const Json timed = night.found("timing");
  const std::vector<Rung> ladder = ladder_of(night);
  model::RunConfig config = config_of(night, ladder.front());
  sweep::DataReader reader(config);
  const sweep::SweepData data = reader(config);
  Given given;
  given.seconds = 3600 * night.settings().hours;
  given.processors = timed.at("processors").get<int>();
  given.vocab = config.model.vocab, given.context = config.model.context;
  given.train_tokens = data.facts.train_tokens;
  given.most_validation_tokens = data.validation_tokens;
  given.rates = rates_of(night);
  given.loss = design::stated_loss;
  const NightPlan plan = plan_night(given);
  write_atomically(real_file_system(), night.at("base.toml"),
                   base_file(ladder, given.context, plan.eval_tokens));
  Json json = to_json(plan);
  json["context"] = given.context, json["train_tokens"] = given.train_tokens;
  return json;
}

// The sizes that are best at the cheapest, the middle and the dearest budget, each for a share of its horizon.
std::vector<Budget> tuning_budgets(const Night& night) {
  const NightPlan plan = night.plan();
  const std::vector<Rung> ladder = ladder_of(night);
  std::vector<Budget> budgets;
  for (const std::size_t k : {std::size_t{0}, plan.budgets.size() / 2, plan.budgets.size() - 1}) {
    const double flops = plan.budgets[k].flops;
    budgets.push_back({kTuningShare * flops, {ladder[best_rung(ladder, flops, design::stated_loss)].name}});
  }
  return budgets;
}

std::vector<TriedRate> tried_rates(const Night& night) {
  std::vector<TriedRate> tried;
  for (const sweep::RunRow& run : night.store.runs_of(kTuning)) {
    tried.push_back({run.spec.size, rate_of_name(run.spec.name), run.loss});
  }
  return tried;
}

// Three factors of the shipped rule's learning rate, and more on the side where the best is at an end.
std::optional<Json> tune_rate(const Night& night) {
  SweepRuns runs{kTuning, "Which factor of the rule's learning rate: runs of a tenth of their horizon.",
                 tuning_budgets(night)};
  runs.rates.assign(std::begin(kRates), std::end(kRates));
  for (;;) {
    if (!night.train(kTuning, sweep_file(runs))) return std::nullopt;
    const BestRate best = best_rate(tried_rates(night));
    const std::optional<double> next = next_rate(best, runs.rates);
    if (next) {
      runs.rates.insert(*next < runs.rates.front() ? runs.rates.begin() : runs.rates.end(), *next);
      continue;
    }
    if (!best.rate)
      throw Error(Exit::diverged, fmt::format("no learning rate of {} trains all of the three sizes",
                                              fmt::join(runs.rates, ", ")));
    return Json{{"rate", *best.rate}, {"tried", runs.rates}, {"at_end", best.at_end}};
  }
}

double tuned_rate(const Night& night) {
  return night.found(kTuning).at("rate").get<double>();
}

// The same run but for its seed, at the best sizes of the two cheapest budgets.
std::optional<Json> repeat_seeds(const Night& night) {
  const NightPlan plan = night.plan();
  const std::vector<Rung> ladder = ladder_of(night);
  SweepRuns runs{kNoise, "How much the loss moves with the seed alone.", {}, fmt::format("{}", kNoiseSeeds)};
  runs.rate = tuned_rate(night);
  for (std::size_t k = 0; k < 2; ++k)
    runs.budgets.push_back({plan.budgets[k].flops,
                            {ladder[best_rung(ladder, plan.budgets[k].flops, design::stated_loss)].name}});
  if (!night.train(kNoise, sweep_file(runs))) return std::nullopt;
  std::vector<fit::Replicate> replicates;
  for (const sweep::RunRow& run : night.store.runs_of(kNoise))
    if (run.loss)
      replicates.push_back({run.spec.budget == runs.budgets[0].flops ? 0 : 1, run.spec.n, *run.loss});
  const std::optional<fit::SeedNoise> noise = fit::estimated_noise(replicates);
  if (!noise) return Json{{"runs", replicates.size()}};
  return Json{{"runs", replicates.size()},
              {"sigma", noise->sigma(replicates.front().N)},
              {"degrees_of_freedom", noise->degrees_of_freedom}};
}

// What the planned time for the fitted sweep buys: the grid that leaves the loss of the dearest run that is foretold the narrowest interval,
// with the noise that was measured.
std::optional<Json> design_sweep(const Night& night) {
  const NightPlan plan = night.plan();
  const Json noise = night.found(kNoise);
  const std::vector<Rung> rungs = ladder_of(night);
  const Rung& far = rungs[best_rung(rungs, plan.far.back(), design::stated_loss)];
  sweep::Goal goal;
  goal.quantity = "loss", goal.at = {{"N", far.N}, {"D", plan.far.back() / far.flops_per_token}};
  if (noise.contains("sigma")) goal.noise = fmt::format("{}", noise.at("sigma").get<double>());
  const design::Belief belief = design::stated_belief(goal);
  const std::vector<Rate> rates = rates_of(night);
  const int processors = night.found("timing").at("processors").get<int>();
  std::vector<design::LadderSize> ladder;
  for (const Rung& rung : rungs)
    ladder.push_back({rung.name, rung.N, rung.flops_per_token, 1 / (rate_at(rates, rung.N) * processors)});
  design::Limits limits;
  limits.seconds = plan.sweep_seconds;
  limits.train_tokens = night.found("plan").at("train_tokens").get<double>();
  const auto grid = design::best_grid_up_to(plan.budgets.back().flops, goal, belief, ladder, limits);
  const double two_seeds_below = std::sqrt(plan.budgets[static_cast<std::size_t>(plan.repeated) - 1].flops *
                                           plan.budgets[static_cast<std::size_t>(plan.repeated)].flops);
  Json found = {{"at", goal.at}, {"noise", belief.noise(far.N)}};
  if (!grid) {  // the ladder's end or the text cuts sizes off: the plan's own
    found["seeds"] = fmt::format("1 + (C < {:.4g})", two_seeds_below);
    found["budgets"] = budgets_json(plan.budgets);
    return found;
  }
  std::vector<Budget> budgets;
  for (const sweep::BudgetSpec& b : grid->budgets) budgets.push_back({b.flops, b.sizes});
  found["seeds"] = fmt::format("{}", grid->seeds);
  found["budgets"] = budgets_json(budgets);
  found["half_width"] = grid->half_width;
  return found;
}

std::optional<Json> train_sweep(const Night& night) {
  const Json designed = night.found(kDesign);
  SweepRuns runs{kFitted, "The runs that the law is fitted to.", budgets_of(designed.at("budgets")),
                 designed.at("seeds").get<std::string>(), tuned_rate(night)};
  if (!night.train(kFitted, sweep_file(runs))) return std::nullopt;
  return counts_of(night, kFitted);
}

// Of each dear run the size that the fitted law holds for the best.
std::vector<Budget> far_budgets(const Night& night, const fit::Table& fitted) {
  fit::ProcedureOptions options;
  options.bootstrap = 0;
  const fit::FittedLaw law = fit::fit_law(fit::law_named("chinchilla"), fitted, options);
  const std::vector<Rung> ladder = ladder_of(night);
  std::vector<Budget> budgets;
  const double train_tokens = night.found("plan").at("train_tokens").get<double>();
  for (const double flops : night.plan().far) {
    const auto loss = [&](double N, double D) -> double {
      if (D > train_tokens) return INFINITY;  // no text twice
      const double x[] = {N, D};
      return fit::predict(*law.law, law.result.theta, x);
    };
    budgets.push_back({flops, {ladder[best_rung(ladder, flops, loss)].name}});
  }
  return budgets;
}

// In the file that the runs will name, before any of them is trained.
std::optional<Json> foretell(const Night& night) {
  try {
    const fit::Table fitted = predict::table_of(night.store, kFitted);
    const SweepRuns runs{kFar, "The runs that were foretold.", far_budgets(night, fitted), "1",
                         tuned_rate(night)};
    const std::string file = night.at("far.toml");
    write_atomically(real_file_system(), file, sweep_file(runs));
    sweep::SweepSpec spec = sweep::read_sweep(file);
    spec.base.data.path = night.at(kText);
    sweep::DataReader data(spec.base);
    const sweep::Grid grid =
        sweep::expand(spec, [&](const model::RunConfig& config) { return data(config).facts; });
    predict::PredictOptions options;
    options.fitted_sweep = kFitted;
    options.threads = night.tools.processors;
    const predict::PredictionSet set = predict::predictions_of(spec, grid, fitted, options);
    write_atomically(real_file_system(), night.at(kPredictions), predict::to_jsonl(set));
    const predict::Registration registration =
        predict::registration_of(night.at(kPredictions), predict::Commit::optional);
    night.store.save_note(predict::prediction_note(kFar), predict::to_json(registration));
    return Json{{"runs", set.list.size()}, {"hash", registration.hash}, {"commit", registration.commit}};
  } catch (const Error& error) {  // the runs say too little: that is a finding, and the dear ones are saved
    if (error.exit_code != Exit::refused && error.exit_code != Exit::bad_input &&
        error.exit_code != Exit::usage)
      throw;
    night.tools.say(fmt::format("nothing is foretold: {}", error.what()));
    return Json{{"runs", 0}, {"refused", error.what()}};
  }
}

bool is_foretold(const Night& night) {
  return night.found("foretelling").at("runs").get<int>() > 0;
}

std::optional<Json> train_far(const Night& night) {
  if (!is_foretold(night)) return Json{{"skipped", "nothing is foretold"}};
  if (!night.train(kFar, read_text(night.at("far.toml")))) return std::nullopt;
  return counts_of(night, kFar);
}

std::optional<Json> score(const Night& night) {
  if (!is_foretold(night)) return Json{{"skipped", "nothing is foretold"}};
  if (!night.tools.loglog(
          {"predict", "score", night.at(kPredictions), "--store", night.at(kStore), "-o", night.at(kScores)}))
    return std::nullopt;
  const Json scores = Json::parse(read_text(night.at(kScores)));
  return Json{{"reached", scores.at("reached")}, {"inside", scores.at("inside")}};
}

std::optional<Json> write_report(const Night& night) {
  if (!night.tools.loglog(
          {"report", night.at(kStore), "--sweep", kFitted, "--title", "One night", "-o", night.at(kReport)}))
    return std::nullopt;
  write_atomically(real_file_system(), night.at(kSummary), summary_text(night.tools.folder));
  return Json::object();
}

}  // namespace

const std::vector<Phase>& phases() {
  static const std::vector<Phase> list = {
      {"import", "reading the text", import_text},
      {"timing", "timing the sizes", time_sizes},
      {"plan", "planning", plan_sizes},
      {kTuning, "tuning the learning rate", tune_rate},
      {kNoise, "repeating seeds", repeat_seeds},
      {kDesign, "designing the sweep", design_sweep},
      {kFitted, "training the runs that a law is fitted to", train_sweep},
      {"foretelling", "foretelling dearer runs", foretell},
      {kFar, "training what was foretold", train_far},
      {"scoring", "comparing", score},
      {"report", "writing the report", write_report},
  };
  return list;
}

}  // namespace loglog::night
