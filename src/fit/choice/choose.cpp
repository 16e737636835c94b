#include "fit/choice/choose.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "fit/bootstrap.hpp"
#include "fit/parallel.hpp"
#include "fit/solve.hpp"

namespace loglog::fit {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFewestRuns = 8;            // below, no sign of a difference is rare enough
constexpr double kClearlyPreferred = 10;  // of AICc: Burnham and Anderson 2002, section 2.6

Json number(double value) {
  if (std::isfinite(value)) return value;
  return nullptr;
}

// Runs that are held out somewhere.
int held_out_runs(const Runs& runs, const std::vector<Fold>& folds) {
  std::set<int> clusters;
  for (const Fold& fold : folds)
    for (const int row : fold.test) clusters.insert(runs.cluster[static_cast<std::size_t>(row)]);
  return static_cast<int>(clusters.size());
}

// A law's mean squared held-out error when runs are drawn again.
class Resampled {
 public:
  Resampled(const Law& law, const Runs& runs, const std::vector<Fold>& folds, const CandidateLaw& candidate)
      : law_(law), runs_(columns_of(runs, law)), folds_(folds), fitted_(candidate.holdout.folds) {
    for (const Fold& fold : folds) {
      const Runs train = select_rows(runs_, fold.train);
      points_.emplace_back(law, train.columns, train.loss);
    }
  }

  double mean_square(std::span<const double> counts) const {
    double sum = 0, weight = 0;
    for (std::size_t f = 0; f < folds_.size(); ++f) {
      const Vector theta = refitted(f, counts);
      for (const int row : folds_[f].test) {
        const double count = counts[static_cast<std::size_t>(row)];
        if (count == 0) continue;
        sum += count * std::pow(std::log(predict(law_, theta, place(row)) / loss(row)), 2), weight += count;
      }
    }
    return sum / weight;  // NaN where none was drawn
  }

 private:
  Vector refitted(std::size_t f, std::span<const double> counts) const {
    const Points& points = points_[f];
    const LawForm& form = *law_.form;
    std::vector<double> weights;
    for (const int row : folds_[f].train)
      weights.push_back(counts[static_cast<std::size_t>(row)] * runs_.weight[static_cast<std::size_t>(row)]);
    const Vector start = form.centre(fitted_[f].theta, points.centres());
    return form.restore(descend(points, weights, {fitted_[f].delta}, form.bounds(points), start).theta,
                        points.centres());
  }
  std::vector<double> place(int row) const {
    std::vector<double> x;
    for (const std::vector<double>& column : runs_.columns)
      x.push_back(column[static_cast<std::size_t>(row)]);
    return x;
  }
  double loss(int row) const { return runs_.loss[static_cast<std::size_t>(row)]; }

  const Law& law_;
  Runs runs_;
  const std::vector<Fold>& folds_;
  const std::vector<FoldResult>& fitted_;
  std::vector<Points> points_;
};

// [law][resample], the same resamples for each.
using Samples = std::vector<std::vector<double>>;
Samples resample(const std::vector<Resampled>& laws, const Runs& runs, const ChooseOptions& options) {
  Samples samples(laws.size(), std::vector<double>(static_cast<std::size_t>(options.resamples)));
  for_each_index(options.threads, options.resamples, [&](int b) {
    const std::vector<double> counts =
        resample_counts(runs.cluster, runs.clusters, options.seed, static_cast<std::uint64_t>(b));
    for (std::size_t i = 0; i < laws.size(); ++i)
      samples[i][static_cast<std::size_t>(b)] = laws[i].mean_square(counts);
  });
  return samples;
}

// The percentiles are moved so that their middle is what was found: fits of resamples err more than fits of all rows, and those of the law with
// more parameters most.
Comparison compare(double worse, double best, const std::vector<double>& worse_samples,
                   const std::vector<double>& best_samples, int units, int comparisons) {
  Comparison c{worse - best, NAN, NAN, false};
  if (units < kFewestRuns) return c;
  std::vector<double> gaps;
  for (std::size_t b = 0; b < worse_samples.size(); ++b)
    if (const double gap = worse_samples[b] - best_samples[b]; std::isfinite(gap)) gaps.push_back(gap);
  const double m = units, level = (1 - kConfidence) / (2 * comparisons);
  const Ends ends = expanded_percentiles(gaps, std::sqrt(m / (m - 1)) * student_t_quantile(1 - level, m - 1));
  const double shift = c.difference - median(gaps);
  return {c.difference, ends.low + shift, ends.high + shift, ends.low + shift > 0};
}

// Columns that every law needs, and one response of them all.
std::vector<std::string> columns_of_laws(const std::vector<const Law*>& laws) {
  if (laws.size() < 2) throw UsageError("a choice needs two laws at least: --laws chinchilla,kaplan");
  std::vector<std::string> columns;
  for (const Law* law : laws) {
    if (law->response != laws.front()->response)
      throw UsageError(fmt::format("{} is a law of {} and {} one of {}: no choice between these", law->name,
                                   law->response, laws.front()->name, laws.front()->response));
    for (const std::string& variable : law->variables)
      if (std::ranges::find(columns, variable) == columns.end()) columns.push_back(variable);
  }
  return columns;
}

// Fitted to the folds; to all rows only for what that says of the law.
CandidateLaw candidate_of(const Law& law, const Runs& runs, const std::vector<Fold>& folds,
                          const SurfaceOptions& options) {
  CandidateLaw c;
  c.law = law.name, c.formula = law.formula, c.parameters = law.parameter_count();
  c.holdout = hold_out(law, runs, folds, options);
  for (const FoldResult& fold : c.holdout.folds)
    if (!fold.refusal.empty()) c.refusal = fold.name + ": " + fold.refusal;
  c.log_rmse = log_rmse(c.holdout.points());
  if (c.refusal.empty() && !std::isfinite(c.log_rmse))
    c.refusal = "it predicts no positive loss for a held-out row";
  return c;
}

// One delta for all, that of the law with the least residuals, so that their likelihoods are of one density.
void add_aicc(const std::vector<const Law*>& laws, const Runs& runs, SurfaceOptions options,
              std::vector<CandidateLaw>& candidates) {
  std::vector<FitResult> fits;
  double least = INFINITY;
  for (std::size_t i = 0; i < laws.size(); ++i) {
    fits.emplace_back();
    candidates[i].aicc = NAN;
    if (!candidates[i].refusal.empty()) continue;
    fits.back() = fit_surface(*laws[i], columns_of(runs, *laws[i]), options);
    candidates[i].identified = fits.back().identified;
    least = std::min(least, fits.back().delta);
  }
  options.delta = least;
  double weight = 0;
  for (const double w : runs.weight) weight += w;
  for (std::size_t i = 0; i < laws.size(); ++i) {
    if (!candidates[i].refusal.empty()) continue;
    if (fits[i].delta != least) fits[i] = fit_surface(*laws[i], columns_of(runs, *laws[i]), options);
    candidates[i].aicc =
        huber_aicc(fits[i].objective * runs.size() / weight, least, runs.size(), candidates[i].parameters);
  }
}

double least_aicc(const std::vector<CandidateLaw>& candidates) {
  double least = INFINITY;
  for (const CandidateLaw& c : candidates)
    if (c.aicc < least) least = c.aicc;
  return least;
}

std::string verdict_of(const Choice& choice) {
  std::string verdict;
  if (!choice.winner.empty()) {
    verdict = choice.winner + " predicts held-out runs better than every other form";
  } else {
    const std::vector<std::string>& names = choice.undecided;
    verdict = fmt::format("undecided between {} and {}", fmt::join(names.begin(), names.end() - 1, ", "),
                          names.back());
    verdict += choice.held_out_runs < kFewestRuns
                   ? fmt::format(": {} held-out runs are too few to tell, {} are needed",
                                 choice.held_out_runs, kFewestRuns)
                   : ": their held-out errors differ by no more than chance explains";
  }
  std::vector<std::string> worse;
  for (const CandidateLaw& c : choice.ranked)
    if (c.to_best.decided) worse.push_back(c.law);
  if (choice.winner.empty() && !worse.empty()) verdict += fmt::format("; worse: {}", fmt::join(worse, ", "));
  const double least = least_aicc(choice.ranked);
  const CandidateLaw& best = choice.ranked.front();
  for (const CandidateLaw& c : choice.ranked)
    if (c.aicc == least && best.aicc > least + kClearlyPreferred)
      verdict += fmt::format("; AICc speaks for {}, by {:.1f} over {}", c.law, best.aicc - least, best.law);
  return verdict;
}

void rank(Choice& choice) {
  std::ranges::stable_sort(choice.ranked, [](const CandidateLaw& a, const CandidateLaw& b) {
    if (a.refusal.empty() != b.refusal.empty()) return a.refusal.empty();
    return a.refusal.empty() && a.log_rmse < b.log_rmse;
  });
}

// How many laws, the first ones, were fitted.
std::size_t compared(const Choice& choice) {
  const auto count = static_cast<std::size_t>(
      std::ranges::count_if(choice.ranked, [](const CandidateLaw& c) { return c.refusal.empty(); }));
  if (count >= 2) return count;
  std::string reasons;
  for (const CandidateLaw& c : choice.ranked)
    if (!c.refusal.empty()) reasons += fmt::format("; {}: {}", c.law, c.refusal);
  throw InputError(fmt::format("{} of {} laws can be fitted: nothing to choose from{}", count,
                               choice.ranked.size(), reasons));
}

void decide(const std::vector<const Law*>& laws, const Runs& runs, const std::vector<Fold>& folds,
            const ChooseOptions& options, Choice& choice) {
  std::vector<CandidateLaw>& ranked = choice.ranked;
  const std::size_t count = compared(choice);
  std::vector<Resampled> resampled;
  for (std::size_t i = 0; i < count; ++i) {
    const auto law = std::ranges::find(laws, ranked[i].law, &Law::name);
    resampled.emplace_back(**law, runs, folds, ranked[i]);
  }
  const Samples samples = resample(resampled, runs, options);
  choice.undecided = {ranked.front().law};
  for (std::size_t i = 1; i < count; ++i) {
    ranked[i].to_best = compare(std::pow(ranked[i].log_rmse, 2), std::pow(ranked[0].log_rmse, 2), samples[i],
                                samples[0], choice.held_out_runs, static_cast<int>(count) - 1);
    if (!ranked[i].to_best.decided) choice.undecided.push_back(ranked[i].law);
  }
  if (choice.undecided.size() == 1) choice.winner = choice.undecided[0], choice.undecided.clear();
  choice.verdict = verdict_of(choice);
}

// ln of the integral of exp(-huber(r) / tau^2) over r.
double log_normaliser(double delta, double tau) {
  const double z = delta / tau;
  const double inside = tau * std::sqrt(2 * std::numbers::pi) * std::erf(z / std::numbers::sqrt2);
  return std::log(inside + 2 * tau * tau / delta * std::exp(-z * z / 2));
}

}  // namespace

double huber_aicc(double objective, double delta, int n, int parameters) {
  constexpr double kGolden = 0.6180339887498949, kSmallest = 1e-30;
  const double k = parameters + 1, mean_loss = std::max(objective / n, kSmallest);
  if (n - k - 1 <= 0) return INFINITY;
  const auto per_row = [&](double log_tau) {
    return log_normaliser(delta, std::exp(log_tau)) + mean_loss * std::exp(-2 * log_tau);
  };
  // tau^2 is 2 F / n for squares and about F / n for absolute values.
  double low = 0.5 * std::log(mean_loss) - 2, high = low + 4;
  while (high - low > 1e-9) {
    const double a = high - kGolden * (high - low), b = low + kGolden * (high - low);
    (per_row(a) < per_row(b) ? high : low) = per_row(a) < per_row(b) ? b : a;
  }
  return 2 * n * per_row((low + high) / 2) + 2 * k + 2 * k * (k + 1) / (n - k - 1);
}

std::vector<std::string> default_laws(const Table& table) {
  if (table.has("N") && table.has("D"))
    return {"chinchilla", "chinchilla-tied", "chinchilla-no-floor", "kaplan"};
  for (const std::string variable : {"C", "N", "D"})
    if (table.has(variable)) return {"power-" + variable + "-floor", "power-" + variable};
  throw UsageError(fmt::format("{} has none of the columns N, D, C: name the laws to choose from with --laws",
                               table.source()));
}

Choice choose(const Table& table, const std::vector<const Law*>& laws, const ChooseOptions& options) {
  const std::vector<std::string> columns = columns_for(options.plan, table, columns_of_laws(laws));
  const Runs runs = select_runs(table, {columns, options.drop_highest, false, laws.front()->response});
  int most = 0;
  for (const Law* law : laws) most = std::max(most, law->parameter_count());
  const std::vector<Fold> folds = make_folds(runs, options.plan, most + 2);

  Choice choice;
  choice.plan = options.plan.in_words();
  choice.trained = static_cast<int>(folds.front().train.size());
  choice.held_out = 0;
  for (const Fold& fold : folds) choice.held_out += static_cast<int>(fold.test.size());
  choice.held_out_runs = held_out_runs(runs, folds);
  choice.warnings = runs.warnings;
  for (const Law* law : laws) choice.ranked.push_back(candidate_of(*law, runs, folds, options.surface));
  add_aicc(laws, runs, options.surface, choice.ranked);
  if (runs.clusters < runs.size())
    choice.warnings.push_back("rows share runs: AICc takes them for independent and is too sure");
  rank(choice);
  decide(laws, runs, folds, options, choice);
  return choice;
}

nlohmann::ordered_json to_json(const Choice& choice) {
  Json json = {{"holdout", choice.plan},
               {"trained", choice.trained},
               {"held_out", choice.held_out},
               {"held_out_runs", choice.held_out_runs},
               {"laws", Json::array()}};
  const double least = least_aicc(choice.ranked);
  for (const CandidateLaw& c : choice.ranked) {
    Json entry = {{"law", c.law},
                  {"formula", c.formula},
                  {"parameters", c.parameters},
                  {"log_rmse", number(c.log_rmse)},
                  {"aicc", number(c.aicc)},
                  {"aicc_above_least", number(c.aicc - least)},
                  {"identified", c.identified}};
    entry["refused"] = c.refusal.empty() ? Json(nullptr) : Json(c.refusal);
    entry["to_best"] = {{"difference", number(c.to_best.difference)},
                        {"lo", number(c.to_best.low)},
                        {"hi", number(c.to_best.high)},
                        {"decided", c.to_best.decided}};
    json["laws"].push_back(std::move(entry));
  }
  json["winner"] = choice.winner.empty() ? Json(nullptr) : Json(choice.winner);
  json["undecided"] = choice.undecided;
  json["verdict"] = choice.verdict;
  json["warnings"] = choice.warnings;
  return json;
}

std::string to_text(const Choice& choice) {
  std::string text =
      fmt::format("{} ({} rows held out, of {} runs)\n", choice.plan, choice.held_out, choice.held_out_runs);
  text += fmt::format("  {:<24} {:>6} {:>10} {:>10}   {}\n", "law", "params", "log-RMSE", "AICc",
                      "squared error above the best, 95%");
  const double least = least_aicc(choice.ranked);
  for (std::size_t i = 0; i < choice.ranked.size(); ++i) {
    const CandidateLaw& c = choice.ranked[i];
    if (!c.refusal.empty()) {
      text += fmt::format("  {:<24} {:>6} refused: {}\n", c.law, c.parameters, c.refusal);
      continue;
    }
    text +=
        fmt::format("  {:<24} {:>6} {:>10.5f} {:>+10.1f}", c.law, c.parameters, c.log_rmse, c.aicc - least);
    if (i > 0) text += fmt::format("   {:.3g}", c.to_best.difference);
    if (std::isfinite(c.to_best.low) && i > 0)
      text += fmt::format(" [{:.3g}, {:.3g}]{}", c.to_best.low, c.to_best.high,
                          c.to_best.decided ? "  worse" : "");
    text += c.identified ? "\n" : "   not identified\n";
  }
  return text + choice.verdict + "\n";
}

}  // namespace loglog::fit
