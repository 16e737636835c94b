#include "night/night_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "base/error.hpp"

namespace loglog::night {
namespace {

constexpr int kBudgets = 5;      // each twice the one before
constexpr int kSidesOfBest = 3;  // sizes below and above the best
constexpr int kRepeated = 3;     // budgets with two seeds
constexpr double kShareOfHours =
    0.85;                             // the rest: import, timing, fits, report, and rates that were too good
constexpr double kForward = 1.0 / 3;  // an evaluation's token against a training step's
constexpr double kLeastTokens = 30'000;  // of the best size at the cheapest budget

class Planner {
 public:
  explicit Planner(const Given& given) : given_(given), ladder_(size_ladder(given.vocab, given.context)) {}

  NightPlan at(double dearest) const {
    NightPlan plan;
    for (int k = kBudgets - 1; k >= 0; --k) plan.budgets.push_back(budget(dearest * std::pow(0.5, k)));
    plan.repeated = kRepeated;
    for (const double times : kFarTimes) plan.far.push_back(times * dearest);
    plan.eval_tokens = eval_tokens(plan);
    for (int k = 0; k < kBudgets; ++k) {
      const Budget& b = plan.budgets[static_cast<std::size_t>(k)];
      const double seconds = budget_seconds(b, plan.eval_tokens);
      plan.sweep_seconds += seconds * (k < kRepeated ? 2 : 1);
    }
    // Three rates at the best sizes of the cheapest, the middle and the dearest budget.
    for (const int k : {0, kBudgets / 2, kBudgets - 1})
      plan.tuning_seconds += std::size(kRates) * kTuningShare *
                             run_seconds(best(plan.budgets[static_cast<std::size_t>(k)].flops),
                                         plan.budgets[static_cast<std::size_t>(k)].flops, plan.eval_tokens) /
                             given_.processors;
    plan.noise_seconds = kNoiseSeeds *
                         run_seconds(best(plan.budgets[0].flops), plan.budgets[0].flops, plan.eval_tokens) /
                         given_.processors;
    for (const double flops : plan.far) plan.far_seconds += run_seconds(best(flops), flops, plan.eval_tokens);
    plan.far_seconds /=
        std::min<double>(given_.processors, 1.5);  // the dearest has the last stretch for itself
    return plan;
  }

  const Rung& best(double flops) const { return ladder_[best_rung(ladder_, flops, given_.loss)]; }
  double tokens_of(const Rung& rung, double flops) const { return flops / rung.flops_per_token; }

 private:
  Budget budget(double flops) const {
    const auto centre = static_cast<int>(best_rung(ladder_, flops, given_.loss));
    Budget b{flops, {}};
    const int last = static_cast<int>(ladder_.size()) - 1;
    for (int i = std::max(0, centre - kSidesOfBest); i <= std::min(last, centre + kSidesOfBest); ++i) {
      const Rung& rung = ladder_[static_cast<std::size_t>(i)];
      if (tokens_of(rung, flops) < given_.train_tokens) b.sizes.push_back(rung.name);
    }
    return b;
  }

  const Rung& named(const std::string& name) const { return *std::ranges::find(ladder_, name, &Rung::name); }

  double run_seconds(const Rung& rung, double flops, double evaluated) const {
    return (tokens_of(rung, flops) + kForward * evaluated) / rate_at(given_.rates, rung.N);
  }

  double budget_seconds(const Budget& b, double evaluated) const {
    double sum = 0;
    for (const std::string& size : b.sizes) sum += run_seconds(named(size), b.flops, evaluated);
    return sum / given_.processors;
  }

  // As much as the shortest run trains on, so that evaluations stay cheap, and no more than there is.
  double eval_tokens(const NightPlan& plan) const {
    constexpr double kFewest = 16'384, kMost = 2'097'152;
    const Budget& cheapest = plan.budgets.front();
    const double shortest =
        cheapest.sizes.empty() ? 0 : tokens_of(named(cheapest.sizes.back()), cheapest.flops);
    return std::floor(std::min(std::clamp(shortest, kFewest, kMost), given_.most_validation_tokens));
  }

  const Given& given_;
  std::vector<Rung> ladder_;
};

// Where every foretold run sees its text once at most.
double most_that_text_allows(const Planner& planner, const Given& given) {
  double low = 1e6, high = 1e24;
  for (int i = 0; i < 200 && high / low > 1.001; ++i) {
    const double middle = std::sqrt(low * high), dearest = middle * kFarTimes[std::size(kFarTimes) - 1];
    (planner.tokens_of(planner.best(dearest), dearest) < 0.95 * given.train_tokens ? low : high) = middle;
  }
  return low;
}

double most_that_hours_allow(const Planner& planner, const Given& given) {
  double low = 1e6, high = 1e24;
  for (int i = 0; i < 200 && high / low > 1.001; ++i) {
    const double middle = std::sqrt(low * high);
    (planner.at(middle).seconds() < kShareOfHours * given.seconds ? low : high) = middle;
  }
  return low;
}

// Of the dearest budget, below which the cheapest budget's runs learn nothing that a law could be fitted to.
double least_budget(const Planner& planner) {
  double flops = 1e6;
  while (planner.tokens_of(planner.best(flops), flops) < kLeastTokens) flops *= 1.02;
  return flops * std::pow(2, kBudgets - 1);
}

}  // namespace

model::Index context_for(double hours) {
  return hours < 0.5 ? 64 : hours < 3 ? 128 : 256;
}

double rate_at(const std::vector<Rate>& rates, double N) {
  LOGLOG_CHECK(!rates.empty(), "no size was timed");
  if (rates.size() == 1) return rates.front().tokens_per_s * rates.front().N / N;
  std::size_t i = 0;
  while (i + 2 < rates.size() && rates[i + 1].N < N) ++i;
  const Rate &a = rates[i], &b = rates[i + 1];
  const double slope = std::log(b.tokens_per_s / a.tokens_per_s) / std::log(b.N / a.N);
  return a.tokens_per_s * std::pow(N / a.N, slope);
}

std::size_t best_rung(const std::vector<Rung>& ladder, double flops,
                      const std::function<double(double N, double D)>& loss) {
  const auto loss_of = [&](const Rung& rung) { return loss(rung.N, flops / rung.flops_per_token); };
  return static_cast<std::size_t>(std::ranges::min_element(ladder, {}, loss_of) - ladder.begin());
}

NightPlan plan_night(const Given& given) {
  const Planner planner(given);
  const double by_text = most_that_text_allows(planner, given),
               by_hours = most_that_hours_allow(planner, given);
  const double least = least_budget(planner);
  if (by_text < least) {
    const double dearest = least * kFarTimes[std::size(kFarTimes) - 1];
    throw RefusedError(fmt::format(
        "the text has {:.3g} tokens to train on; the least night needs {:.3g}, for no run sees a text twice",
        given.train_tokens, planner.tokens_of(planner.best(dearest), dearest) / 0.95));
  }
  if (by_hours < least)
    throw RefusedError(
        fmt::format("{:.2g} hours are too few: the least night takes about {:.2g} on this machine",
                    given.seconds / 3600, planner.at(least).seconds() / kShareOfHours / 3600));
  NightPlan plan = planner.at(std::min(by_text, by_hours));
  plan.limit = by_text < by_hours ? "text" : "hours";
  return plan;
}

}  // namespace loglog::night
