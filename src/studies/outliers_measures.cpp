#include "studies/outliers_measures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/rank_correlation.hpp"
#include "base/resample.hpp"
#include "base/rng.hpp"
#include "base/stats.hpp"
#include "eval/paired_losses.hpp"
#include "studies/samples.hpp"

namespace loglog::studies {
namespace {

using eval::OutlierRung;

constexpr double kAny = 1e-9;  // more than nothing, whatever rounding did

// Of every rung where they are numbers: a value, the loss, ln N; and the run of each.
struct Rows {
  Columns columns = Columns(3);
  std::vector<std::size_t> run;
  std::size_t runs() const { return run.empty() ? 0 : run.back() + 1; }
};

template <class Value>
Rows rows_of(const Rungs& runs, Value value) {
  Rows rows;
  std::size_t number = 0;
  for (const auto& run : runs) {
    bool any = false;
    for (const OutlierRung& r : run) {
      if (!r.is_finite || std::isnan(value(r))) continue;
      rows.columns[0].push_back(value(r));
      rows.columns[1].push_back(r.loss);
      rows.columns[2].push_back(std::log(r.n));
      rows.run.push_back(number);
      any = true;
    }
    number += any;
  }
  return rows;
}

double with_loss(const Columns& c) {
  return spearman(c[0], c[1]);
}
double with_n_given_loss(const Columns& c) {
  return partial_spearman(c[0], c[2], c[1]);
}

Measure measured(std::string name, const Rows& rows, const Statistic& statistic, std::uint64_t seed,
                 std::uint64_t resamples = kOutlierResamples) {
  Measure m;
  m.name = std::move(name);
  m.value = statistic(rows.columns);
  Resampled drawn = resampled(rows.columns, rows.run, statistic, resamples, seed);
  m.samples = std::move(drawn.values), m.undefined = drawn.undefined;
  return m;
}

std::size_t count_of(const Rungs& runs) {
  std::size_t count = 0;
  for (const auto& run : runs) count += run.size();
  return count;
}

// Numbers of `count` draws, drawn again with replacement.
std::vector<std::size_t> drawn_again(std::size_t count, std::uint64_t seed, std::uint64_t resample) {
  const Rng rng(seed, (std::uint64_t{1} << 32) + resample);  // other streams than those of the text
  std::vector<std::size_t> drawn;
  for (std::size_t i = 0; i < count; ++i) drawn.push_back(rng.below(i, count));
  return drawn;
}

// a over the mean magnitude of b, of those numbers.
template <class B>
double over_magnitude(double a, const std::vector<std::size_t>& numbers, B b) {
  double sum = 0;
  for (const std::size_t i : numbers) sum += std::abs(b(i));
  return a * static_cast<double>(numbers.size()) / sum;
}

}  // namespace

Ranks ranks_of(const Rungs& runs, double OutlierRung::*measure, std::uint64_t seed, std::uint64_t resamples) {
  Rows rows = rows_of(runs, [measure](const OutlierRung& r) { return r.*measure; });
  if (rows.run.size() < 3) rows = {};
  const auto correlation = [&](const char* name, const Statistic& statistic) {
    return measured(name, rows, statistic, seed, resamples);
  };
  return {
      rows.runs(),
      correlation("with loss", with_loss),
      correlation("with N", [](const Columns& c) { return spearman(c[0], c[2]); }),
      correlation("with loss given N", [](const Columns& c) { return partial_spearman(c[0], c[1], c[2]); }),
      correlation("with N given loss", with_n_given_loss),
      correlation("-(with loss) - |with N given loss|",
                  [](const Columns& c) { return -with_loss(c) - std::abs(with_n_given_loss(c)); })};
}

Finding emergence(Claim claim, const Rungs& runs, const Manifest& manifest, std::uint64_t seed) {
  Finding f;
  f.claim = std::move(claim);
  const std::size_t count = count_of(runs);
  if (static_cast<double>(count) < manifest("checkpoints_least"))
    f.untestable = fmt::format("{} checkpoints, {} are asked for", count, manifest("checkpoints_least"));
  for (const ScaleFree& s : kScaleFree) {
    Ranks ranks = ranks_of(runs, s.value, seed);
    ranks.with_loss.name = fmt::format("{}: Spearman with the loss", s.name);
    ranks.with_loss.high = manifest("loss_rank_most"), ranks.with_loss.null = 0;
    ranks.with_loss.least = manifest("rank_notable");
    ranks.difference.name = fmt::format("{}: -(Spearman with the loss) - |with N given the loss|", s.name);
    ranks.difference.low = 0, ranks.difference.null = 0;
    ranks.difference.least = manifest("rank_difference_notable");
    f.measures.push_back(std::move(ranks.with_loss));
    f.measures.push_back(std::move(ranks.difference));
  }
  return f;
}

ZeroingRatios zeroing_ratios(const std::string& model, const eval::Zeroed& whole,
                             const eval::Zeroing& zeroing, const Manifest& manifest, std::uint64_t seed) {
  std::vector<const eval::ClusteredMean*> all = {&whole.clusters, &zeroing.chosen.clusters};
  for (const eval::Zeroed& z : zeroing.random) all.push_back(&z.clusters);
  const auto ratio = [&](const std::vector<double>& losses, const std::vector<std::size_t>& draws) {
    const auto rise = [&](std::size_t i) { return std::expm1(losses[i] - losses[0]); };
    return over_magnitude(rise(1), draws, [&](std::size_t i) { return rise(2 + i); });
  };
  const auto lost = [&](const std::vector<std::size_t>& draws) {
    return over_magnitude(whole.top1 - zeroing.chosen.top1, draws,
                          [&](std::size_t i) { return whole.top1 - zeroing.random[i].top1; });
  };
  std::vector<std::size_t> once(zeroing.random.size());
  for (std::size_t i = 0; i < once.size(); ++i) once[i] = i;
  std::vector<double> losses = {whole.loss, zeroing.chosen.loss};
  for (const eval::Zeroed& z : zeroing.random) losses.push_back(z.loss);
  ZeroingRatios r;
  r.perplexity.name = fmt::format("{}: rise of perplexity over that of random channels", model);
  r.perplexity.value = ratio(losses, once);
  r.perplexity.low = manifest("perplexity_ratio_least"), r.perplexity.null = 1;
  r.perplexity.least = manifest("perplexity_ratio_notable") - 1;
  r.attention.name = fmt::format("{}: loss of top attention over that of random channels", model);
  r.attention.value = lost(once);
  r.attention.low = manifest("attention_ratio_least"), r.attention.null = 1;
  r.attention.least = manifest("attention_ratio_notable") - 1;
  const auto means = eval::resampled_means(all, kOutlierResamples, seed);
  for (std::uint64_t i = 0; i < kOutlierResamples; ++i) {
    const std::vector<std::size_t> draws = drawn_again(once.size(), seed, i);
    r.perplexity.samples.push_back(ratio(means[i], draws));
    r.attention.samples.push_back(lost(draws));
  }
  return r;
}

std::vector<Measure> sharing(const std::string& model, const quant::ChannelOverlap& overlap,
                             const std::vector<double>& untrained, const std::vector<double>& rotated,
                             const Manifest& manifest) {
  Measure permuted;
  permuted.name = fmt::format("{}: share in common, less a permutation's", model);
  permuted.value = overlap.observed - overlap.expected;
  for (const double draw : overlap.null) permuted.samples.push_back(overlap.observed - draw);
  const auto less_one_more = [&](const std::vector<double>& others, const char* whose) {
    Measure m;
    m.name = fmt::format("{}: the same, less {}", model, whose);
    const auto n = static_cast<double>(others.size());
    m.value = overlap.observed - mean(others);
    m.samples = student_samples(m.value, std::sqrt(variance(others) * (1 + 1 / n)), n - 1);
    return m;
  };
  std::vector<Measure> all = {std::move(permuted), less_one_more(untrained, "an untrained model's"),
                              less_one_more(rotated, "its own in a random basis")};
  for (Measure& m : all) m.low = kAny, m.null = 0, m.least = manifest("sharing_notable");
  return all;
}

double FactorEffects::half_width(std::size_t count) const {
  return student_t_quantile(0.975, degrees) * sd * std::sqrt(2.0 / static_cast<double>(count));
}

namespace {

using BySeed = std::map<std::int64_t, double>;

// ln(kurtosis) of a variant at each seed of the base's, in the base's order; nothing where one is missing.
std::optional<std::vector<double>> at_seeds_of(const BySeed& base, const BySeed& variant) {
  std::vector<double> values;
  for (const auto& [seed, unused] : base) {
    const auto found = variant.find(seed);
    if (found == variant.end()) return std::nullopt;
    values.push_back(found->second);
  }
  return values;
}

}  // namespace

FactorEffects factor_effects(const std::vector<FactorRun>& runs) {
  std::vector<std::string> order;
  std::map<std::string, BySeed> by_variant;  // ln(kurtosis)
  for (const FactorRun& r : runs) {
    if (!(r.rung.kurtosis > 0)) continue;  // activations that are no numbers
    if (std::ranges::find(order, r.variant) == order.end()) order.push_back(r.variant);
    by_variant[r.variant][r.seed] = std::log(r.rung.kurtosis);
  }
  FactorEffects result;
  const BySeed base = by_variant["base"];
  if (base.empty()) return result;
  result.seeds = base.size();
  const std::vector<double> of_base = *at_seeds_of(base, base);
  double squares = 0;
  for (const std::string& variant : order) {
    const auto values = at_seeds_of(base, by_variant.at(variant));
    if (!values) continue;
    if (values->size() > 1) squares += variance(*values) * static_cast<double>(values->size() - 1);
    result.degrees += static_cast<double>(values->size()) - 1;
    if (variant == "base") continue;
    std::vector<double> effects;
    for (std::size_t i = 0; i < values->size(); ++i) effects.push_back((*values)[i] - of_base[i]);
    result.effects.push_back({variant, effects.front(), mean(std::span(effects).subspan(1)), mean(effects)});
  }
  result.sd = std::sqrt(squares / result.degrees);
  return result;
}

Finding strongest_factor(Claim claim, const FactorEffects& e, const Manifest& manifest) {
  Finding f;
  f.claim = std::move(claim);
  if (e.seeds == 0)
    f.untestable = "the base has diverged in every seed";
  else if (e.seeds == 1)
    f.untestable = "one seed does not tell an effect from noise";
  else if (e.effects.empty())
    f.untestable = "no variant has all of the base's seeds";
  if (!f.untestable.empty()) return f;
  const auto strongest =
      std::ranges::max_element(e.effects, {}, [](const auto& x) { return std::abs(x.by_first); });
  const double sign = strongest->by_first < 0 ? -1 : 1;
  Measure m;
  m.name = sign > 0 ? fmt::format("{}: kurtosis over the base's", strongest->variant)
                    : fmt::format("{}: the base's kurtosis over its own", strongest->variant);
  m.value = std::exp(sign * strongest->by_others);
  m.low = manifest("factor_ratio_least"), m.null = 1;
  m.least = manifest("factor_ratio_notable") - 1;
  const double error = e.sd * std::sqrt(2.0 / static_cast<double>(e.seeds - 1));
  for (const double x : student_samples(sign * strongest->by_others, error, e.degrees))
    m.samples.push_back(std::exp(x));
  f.measures.push_back(std::move(m));
  return f;
}

Finding emergence_by_criterion(Claim claim, const Rungs& runs, const Manifest& manifest, std::uint64_t seed) {
  Finding f;
  f.claim = std::move(claim);
  const auto outliers = [](const OutlierRung& r) { return static_cast<double>(r.outliers.front()); };
  const std::string criterion = criterion_text(manifest);
  const Rows rows = rows_of(runs, outliers);
  const auto [fewest, most] = std::ranges::minmax(rows.columns[0]);
  if (most == 0)
    f.untestable = fmt::format("none of {} checkpoints has a dimension by {}", count_of(runs), criterion);
  else if (fewest == most)
    f.untestable =
        fmt::format("all of {} checkpoints have {} dimensions by {}", count_of(runs), most, criterion);
  if (!f.untestable.empty()) return f;
  Measure m = measured(fmt::format("number of dimensions by {}: Spearman with the loss", criterion), rows,
                       with_loss, seed);
  m.high = manifest("outlier_loss_rank_most"), m.null = 0, m.least = manifest("rank_notable");
  f.measures.push_back(std::move(m));
  return f;
}

}  // namespace loglog::studies
