#include "fit/choice/disagreement.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "base/stats.hpp"
#include "fit/choice/folds.hpp"
#include "fit/envelope.hpp"
#include "fit/isoflop.hpp"
#include "fit/noise.hpp"
#include "fit/parallel.hpp"
#include "fit/profile.hpp"
#include "fit/solve.hpp"

namespace loglog::fit {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) {
  if (std::isfinite(value)) return value;
  return nullptr;
}

using Exponent = std::function<double(const Runs&)>;  // throws InputError where there is none

Runs with_losses(const Runs& runs, std::vector<double> loss) {
  Runs other = runs;
  other.loss = std::move(loss);
  return other;
}

// The law, followed from the fit of all runs.
Exponent exponent_of_law(const Law& law, const Runs& runs, const FitResult& fit) {
  return [&law, own = columns_of(runs, law), theta = fit.theta, delta = fit.delta](const Runs& resample) {
    const Points points(law, own.columns, resample.loss);
    const Vector start = law.form->centre(theta, points.centres());
    const Descent end = descend(points, own.weight, {delta}, law.form->bounds(points), start);
    if (!end.converged()) throw InputError("the fit did not converge");
    return law.optimum.front().value(law.form->restore(end.theta, points.centres()));
  };
}

Exponent exponent_of_envelope() {
  return [](const Runs& runs) { return fit_envelope(runs, {0}).optimum.front().value; };
}

Exponent exponent_of_isoflop(int sides) {
  IsoflopOptions options;
  options.sides = sides, options.bootstrap = 0;
  return [options](const Runs& runs) { return fit_isoflop(runs, options).optimum.front().value; };
}

// What the law says and the relative sd around it, row by row.
struct Model {
  std::vector<double> loss, sd;
  double degrees = 0;  // behind the sd
};

Model model_of(const Law& law, const Runs& runs, const FitResult& fit, const std::string& sigma,
               std::string& in_words) {
  const Runs own = columns_of(runs, law);
  const Points points(law, own.columns, own.loss);
  const ResidualScale scale =
      residual_scale(points, own.weight, {fit.delta}, law.form->centre(fit.theta, points.centres()));
  Model model;
  model.degrees = scale.degrees;
  for (std::size_t i = 0; i < own.loss.size(); ++i)
    model.loss.push_back(own.loss[i] * std::exp(fit.residuals[i]));
  model.sd.assign(own.loss.size(), std::sqrt(scale.variance));
  in_words = fmt::format("{:.3g} of the loss, the residuals of {}", std::sqrt(scale.variance), law.name);
  if (sigma.empty()) return model;
  const SeedNoise noise = given_noise(sigma, runs.column("N"));
  for (std::size_t i = 0; i < model.sd.size(); ++i) model.sd[i] = noise.sigma(runs.column("N")[i]);
  model.degrees = INFINITY;
  in_words = sigma + " of the loss, as given";
  return model;
}

// [approach][resample] exponents; NaN where an approach had none.
using Samples = std::vector<std::vector<double>>;
Samples resample(const std::vector<Exponent>& exponents, const Runs& runs, const Model& model,
                 const DisagreementOptions& options) {
  Samples samples(exponents.size(), std::vector<double>(static_cast<std::size_t>(options.resamples), NAN));
  for_each_index(options.threads, options.resamples, [&](int b) {
    const Rng rng(options.seed, static_cast<std::uint64_t>(b));
    std::vector<double> loss = model.loss;
    for (std::size_t i = 0; i < loss.size(); ++i) loss[i] *= std::exp(model.sd[i] * rng.normal(i));
    const Runs made = with_losses(runs, std::move(loss));
    for (std::size_t k = 0; k < exponents.size(); ++k) {
      try {
        samples[k][static_cast<std::size_t>(b)] = exponents[k](made);
      } catch (const InputError&) {  // lost, and counted
      }
    }
  });
  return samples;
}

std::vector<double> gaps(const std::vector<double>& first, const std::vector<double>& second) {
  std::vector<double> values;
  for (std::size_t b = 0; b < first.size(); ++b)
    if (const double gap = first[b] - second[b]; std::isfinite(gap)) values.push_back(gap);
  return values;
}

Difference difference_of(const Approach& first, const Approach& second, const std::vector<double>& samples,
                         double t) {
  Difference d{first.name, second.name, first.a - second.a};
  const Ends ends = expanded_percentiles(samples, t);
  d.expected = median(samples);
  // What noise adds lies between these ends and the middle; the truth lies on the other side of what was found.
  d.low = d.value - (ends.high - d.expected), d.high = d.value - (ends.low - d.expected);
  d.beyond_noise = d.low > 0 || d.high < 0;
  d.unexplained = d.low > d.expected || d.high < d.expected;
  return d;
}

// Squared Mahalanobis distance of differences to the last approach from their mean, in the spread of the resamples.
class Distance {
 public:
  explicit Distance(const Samples& samples) : n_(static_cast<int>(samples.size()) - 1) {
    for (std::size_t b = 0; b < samples.front().size(); ++b) {
      Vector gap{};
      bool whole = true;
      for (std::size_t k = 0; k < static_cast<std::size_t>(n_); ++k) {
        gap[k] = samples[k][b] - samples.back()[b];
        whole = whole && std::isfinite(gap[k]);
      }
      if (whole) gaps_.push_back(gap);
    }
    for (const Vector& gap : gaps_)
      for (std::size_t k = 0; k < static_cast<std::size_t>(n_); ++k) mean_[k] += gap[k] / count();
    for (const Vector& gap : gaps_)
      for (int i = 0; i < n_; ++i)
        for (int j = 0; j < n_; ++j) at(covariance_, i, j) += less_mean(gap, i) * less_mean(gap, j) / count();
  }
  // Share of the resamples that lie at least as far away.
  double p_value(const Vector& found) const {
    const double reached = from_mean(found);
    if (gaps_.empty() || !std::isfinite(reached)) return NAN;
    double further = 1;  // the sweep itself
    for (const Vector& gap : gaps_) further += from_mean(gap) >= reached ? 1 : 0;
    return further / (count() + 1);
  }

 private:
  double count() const { return static_cast<double>(gaps_.size()); }
  double less_mean(const Vector& gap, int i) const {
    return gap[static_cast<std::size_t>(i)] - mean_[static_cast<std::size_t>(i)];
  }
  double from_mean(const Vector& gap) const {
    Vector off{}, x{};
    for (int i = 0; i < n_; ++i) off[static_cast<std::size_t>(i)] = less_mean(gap, i);
    if (!solve_positive(covariance_, off, n_, x)) return NAN;
    double sum = 0;
    for (std::size_t k = 0; k < static_cast<std::size_t>(n_); ++k) sum += off[k] * x[k];
    return sum;
  }

  int n_;
  std::vector<Vector> gaps_;
  Vector mean_{};
  Matrix covariance_{};
};

void warn_lost(const DisagreementOptions& options, Disagreement& result) {
  for (const Approach& a : result.approaches)
    if (a.lost * 20 > options.resamples)
      result.warnings.push_back(fmt::format("{} had no exponent in {} of {} resamples; they are left out",
                                            a.name, a.lost, options.resamples));
}

std::string verdict_of(const Disagreement& result) {
  std::vector<std::string> sentences;
  for (const Difference& d : result.differences) sentences.push_back(d.in_words());
  std::string verdict = fmt::format("{}", fmt::join(sentences, ". "));
  verdict +=
      fmt::format(". All together: {} (p = {:.2g})",
                  result.p_value < 1 - kConfidence
                      ? "the approaches disagree by more than noise and their known biases explain: the "
                        "law does not hold everywhere on these runs"
                      : "no more than noise and the approaches' own biases explain",
                  result.p_value);
  return verdict;
}

}  // namespace

std::string Difference::in_words() const {
  const std::string pair =
      fmt::format("{} and {} differ by {:+.4f}, 95% [{:.4f}, {:.4f}]", first, second, value, low, high);
  if (!beyond_noise) return pair + ": within joint sampling error";
  if (!unexplained)
    return pair +
           fmt::format(": beyond joint sampling error, but where the law holds they differ by {:+.4f} anyway",
                       expected);
  return pair +
         fmt::format(": beyond joint sampling error, and not the {:+.4f} of a sweep where the law holds",
                     expected);
}

ApproachSamples resample_approaches(const Law& law, const Runs& runs, const DisagreementOptions& options) {
  if (law.optimum.empty() || law.optimum.front().name != "a")
    throw UsageError(law.name + " has no exponent of N_opt: name a law that has, such as chinchilla");
  const FitResult fit =
      fit_surface(law, columns_of(runs, law), {options.delta, {IntervalKind::automatic, 0}});
  if (fit.optimum.empty())
    throw InputError(law.name + " is not identified by these runs: nothing to compare with");
  ApproachSamples result;
  result.warnings = fit.warnings;
  const Model model = model_of(law, runs, fit, options.sigma, result.noise);
  result.t = std::isfinite(model.degrees) ? student_t_quantile(0.975, model.degrees) : normal_quantile(0.975);
  result.approaches = {{"envelope"}, {"isoflop"}, {law.name}};
  result.samples.resize(result.approaches.size());
  const std::vector<Exponent> all = {exponent_of_envelope(), exponent_of_isoflop(options.sides),
                                     exponent_of_law(law, runs, fit)};
  std::vector<Exponent> used;
  std::vector<std::size_t> users;
  for (std::size_t k = 0; k < all.size(); ++k) {
    Approach& approach = result.approaches[k];
    try {
      approach.a = all[k](runs);
      used.push_back(all[k]), users.push_back(k);
    } catch (const InputError& error) {
      approach.a = NAN, approach.refusal = error.what();
    }
  }
  Samples samples = resample(used, runs, model, options);
  for (std::size_t i = 0; i < used.size(); ++i) {
    result.approaches[users[i]].lost =
        static_cast<int>(std::ranges::count_if(samples[i], [](double a) { return std::isnan(a); }));
    result.samples[users[i]] = std::move(samples[i]);
  }
  return result;
}

Disagreement disagreement(const Law& law, const Runs& runs, const DisagreementOptions& options) {
  const ApproachSamples made = resample_approaches(law, runs, options);
  Disagreement result;
  result.approaches = made.approaches, result.noise = made.noise, result.warnings = made.warnings;
  std::vector<std::size_t> used;
  for (std::size_t k = 0; k < made.samples.size(); ++k)
    if (!made.samples[k].empty()) used.push_back(k);
  if (used.size() < 2)
    throw InputError(fmt::format("fewer than two approaches can be used; envelope: {}; isoflop: {}",
                                 result.approaches[0].refusal, result.approaches[1].refusal));
  Vector found{};
  Samples samples;
  for (std::size_t i = 0; i < used.size(); ++i) {
    samples.push_back(made.samples[used[i]]);
    found[i] = result.approaches[used[i]].a - result.approaches[used.back()].a;
    for (std::size_t j = i + 1; j < used.size(); ++j)
      result.differences.push_back(difference_of(result.approaches[used[i]], result.approaches[used[j]],
                                                 gaps(samples[i], made.samples[used[j]]), made.t));
  }
  result.p_value = Distance(samples).p_value(found);
  warn_lost(options, result);
  result.verdict = verdict_of(result);
  return result;
}

nlohmann::ordered_json to_json(const Disagreement& result) {
  Json json = {{"approaches", Json::array()}, {"differences", Json::array()}};
  for (const Approach& a : result.approaches) {
    json["approaches"].push_back({{"name", a.name}, {"a", number(a.a)}, {"lost", a.lost}});
    json["approaches"].back()["refused"] = a.refusal.empty() ? Json(nullptr) : Json(a.refusal);
  }
  for (const Difference& d : result.differences)
    json["differences"].push_back({{"first", d.first},
                                   {"second", d.second},
                                   {"value", number(d.value)},
                                   {"lo", number(d.low)},
                                   {"hi", number(d.high)},
                                   {"expected", number(d.expected)},
                                   {"beyond_noise", d.beyond_noise},
                                   {"unexplained", d.unexplained},
                                   {"text", d.in_words()}});
  json["p_value"] = number(result.p_value);
  json["noise"] = result.noise;
  json["verdict"] = result.verdict;
  json["warnings"] = result.warnings;
  return json;
}

std::string to_text(const Disagreement& result) {
  std::string text = "exponent a of N_opt ~ C^a\n";
  for (const Approach& a : result.approaches)
    text += a.refusal.empty() ? fmt::format("  {:<20} {:.4f}\n", a.name, a.a)
                              : fmt::format("  {:<20} refused: {}\n", a.name, a.refusal);
  text += fmt::format("losses made anew with noise of {}\n", result.noise);
  for (const Difference& d : result.differences) text += d.in_words() + "\n";
  const std::size_t last = result.verdict.rfind("All together");
  return text + result.verdict.substr(last) + "\n";
}

}  // namespace loglog::fit
