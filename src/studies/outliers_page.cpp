#include "studies/outliers_page.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/stats.hpp"
#include "studies/format.hpp"
#include "studies/outliers_figures.hpp"

namespace loglog::studies {
namespace {

Table ladder_table(const OutlierFindings& found, const Manifest& manifest) {
  Table t{"The ladder's last checkpoints",
          {"model", "N", "loss", "kurtosis", "of the stream", "max/median"},
          {},
          ""};
  for (const quant::Criterion& c : found.ladder.front().last.survey.criteria)
    t.header.push_back(fmt::format("dimensions at {}", name_of(c)));
  t.header.insert(t.header.end(), {"massive", "one sign", "top attention", "on the first token"});
  for (const LadderRun& run : found.ladder) {
    const quant::OutlierSurvey& s = run.last.survey;
    const eval::OutlierRung& last = run.rungs.back();
    std::vector<std::string> row = {run.name(),
                                    report::short_number(last.n),
                                    fmt::format("{:.4f}", last.loss),
                                    number(last.kurtosis),
                                    number(s.kurtosis({"attention_stream", "mlp_stream"})),
                                    number(last.max_to_median)};
    for (const quant::Criterion& c : s.criteria) row.push_back(fmt::format("{}", c.verdict.outliers.size()));
    std::size_t massive = 0;
    for (const auto& entry : s.sums.entries())
      if (entry.spot.site.ends_with("stream")) massive += quant::massive_channels(entry.sums).size();
    row.push_back(fmt::format("{}", massive));
    row.push_back(percent(s.criteria.back().verdict.sign_purity));
    row.push_back(percent(last.top1));
    row.push_back(percent(last.first_token));
    t.rows.push_back(std::move(row));
  }
  t.note = fmt::format(
      "Kurtosis and max/median: means over the inputs of qkv and up. A dimension counts when it reaches the "
      "magnitude in 25% of the layers and at 6% of the positions. Massive: values of the stream above 100 "
      "and of "
      "at least 1,000 median magnitudes (Sun et al. 2024). One sign: of the values above {:g} x median RMS.",
      manifest("magnitude_relative"));
  return t;
}

Table rank_table(const Rungs& runs, std::uint64_t seed) {
  Table t{"Rank correlations over all checkpoints",
          {"measure", "with the loss", "with N", "with the loss given N", "with N given the loss"},
          {},
          ""};
  std::size_t rungs = 0;
  for (const auto& run : runs) rungs += run.size();
  for (const ScaleFree& s : kScaleFree) {
    const Ranks r = ranks_of(runs, s.value, seed);
    t.rows.push_back({s.name, with_interval(r.with_loss), with_interval(r.with_n),
                      with_interval(r.with_loss_given_n), with_interval(r.with_n_given_loss)});
  }
  t.note = fmt::format(
      "Spearman over {} checkpoints of {} runs; 95% intervals: whole runs drawn with replacement.", rungs,
      runs.size());
  return t;
}

std::string change(double loss, double from) {
  return fmt::format("{:+.3g}%", 100 * std::expm1(loss - from));
}

Table zeroing_table(const OutlierFindings& found) {
  Table t{"Channels set to zero at the inputs of qkv and up",
          {"model", "channels", "perplexity", "top attention"},
          {},
          "Random channels: median over the draws, and the draw that does most."};
  for (const OutlierFindings::Zeroed& z : found.zeroed) {
    const LadderRun& run = found.ladder[z.run];
    const double loss = run.last.loss;
    t.rows.push_back(
        {run.name(), "none", fmt::format("{:.4f}", std::exp(loss)), percent(run.last.attention.top1())});
    t.rows.push_back({run.name(), fmt::format("largest RMS: {}", fmt::join(z.zeroing.chosen.channels, " ")),
                      change(z.zeroing.chosen.loss, loss), percent(z.zeroing.chosen.top1)});
    std::vector<double> losses, tops;
    for (const eval::Zeroed& one : z.zeroing.random) losses.push_back(one.loss), tops.push_back(one.top1);
    t.rows.push_back(
        {run.name(), fmt::format("{} random", z.zeroing.chosen.channels.size()),
         fmt::format("{}, {}", change(median(losses), loss), change(*std::ranges::max_element(losses), loss)),
         percent(median(tops))});
  }
  return t;
}

Table sharing_table(const OutlierFindings& found, const Manifest& manifest) {
  Table t{fmt::format("What the top {} channels of two layers have in common", manifest("top")),
          {"activations", "share in common", "by permutation", "p"},
          {},
          "Untrained and rotated: mean over the models and rotations, and the largest. A rotation leaves no "
          "channel to "
          "share, but directions of large variance: what two layers have in common there is theirs."};
  for (const LadderRun& run : found.ladder) {
    const quant::ChannelOverlap& o = run.last.survey.overlap;
    t.rows.push_back({run.name(), percent(o.observed), percent(o.expected), fmt::format("{:.1e}", o.p)});
  }
  const auto add = [&](const std::string& name, const NullCounts& n) {
    t.rows.push_back(
        {name, fmt::format("{}, {}", percent(mean(n.overlap)), percent(*std::ranges::max_element(n.overlap))),
         "", ""});
  };
  add(fmt::format("{}, untrained", found.largest().trained->name), found.untrained);
  for (const OutlierFindings::Zeroed& z : found.zeroed)  // the runs of the largest size
    add(fmt::format("{}, rotated", found.ladder[z.run].name()), found.rotated[z.run]);
  return t;
}

Table factor_table(const OutlierFindings& found, const Manifest& manifest) {
  const FactorEffects effects = factor_effects(found.factors);
  Table t{"Factors: one change at a time",
          {"variant", "loss", "kurtosis, by seed", "over the base's", "max/median",
           fmt::format("dimensions at {:.1f}", manifest("magnitude"))},
          {},
          ""};
  std::vector<std::string> variants;
  if (effects.seeds > 0) variants.push_back("base");  // first
  for (const FactorRun& r : found.factors)
    if (std::ranges::find(variants, r.variant) == variants.end()) variants.push_back(r.variant);
  for (const std::string& variant : variants) {
    std::vector<double> losses, ratios;
    std::vector<std::string> kurtosis, outliers;
    for (const FactorRun& r : found.factors) {
      if (r.variant != variant) continue;
      losses.push_back(r.rung.loss), ratios.push_back(r.rung.max_to_median);
      kurtosis.push_back(number(r.rung.kurtosis));
      outliers.push_back(fmt::format("{}", r.rung.outliers.front()));
    }
    std::string over = "-";
    for (const FactorEffects::Effect& e : effects.effects)
      if (e.variant == variant)
        over = fmt::format("{:.3g} [{:.3g}, {:.3g}]", std::exp(e.mean),
                           std::exp(e.mean - effects.half_width(effects.seeds)),
                           std::exp(e.mean + effects.half_width(effects.seeds)));
    t.rows.push_back({variant, fmt::format("{:.4f}", mean(losses)),
                      fmt::format("{}", fmt::join(kurtosis, ", ")), over, number(mean(ratios)),
                      fmt::format("{}", fmt::join(outliers, ", "))});
  }
  if (effects.degrees > 0)
    t.note = fmt::format(
        "Between seeds, ln(kurtosis) has a standard deviation of {:.2g} ({} degrees of freedom, all variants "
        "together), "
        "so {} seeds show factors above {:.3g}; 95% intervals.",
        effects.sd, effects.degrees, effects.seeds, std::exp(effects.half_width(effects.seeds)));
  if (!found.diverged.empty())
    t.note += fmt::format("{}Diverged: {}.", t.note.empty() ? "" : " ", fmt::join(found.diverged, ", "));
  return t;
}

}  // namespace

const LadderRun& OutlierFindings::largest() const {
  return *std::ranges::max_element(ladder, {}, [](const LadderRun& r) { return r.trained->parameters; });
}

Rungs OutlierFindings::rungs() const {
  Rungs all;
  for (const LadderRun& run : ladder) all.push_back(run.rungs);
  return all;
}

void add_page(const OutlierFindings& found, const Manifest& manifest, std::uint64_t seed, Result& result) {
  const Rungs rungs = found.rungs();
  result.tables = {ladder_table(found, manifest), rank_table(rungs, seed), zeroing_table(found),
                   sharing_table(found, manifest), factor_table(found, manifest)};
  for (const auto& [name, title, what] :
       {std::tuple{"kurtosis", "Kurtosis of the dimensions' RMS against loss", &kScaleFree[0]},
        std::tuple{"max-median", "Max/median of a position's magnitudes against loss", &kScaleFree[1]}}) {
    result.figures.push_back(outlier_curves({name, title, what->name, what->value}, rungs));
    result.figures.back().caption =
        "Every checkpoint of every run, a colour for each size; lines join the checkpoints of a run.";
  }
  const LadderRun& largest = found.largest();
  result.figures.push_back(outlier_map(largest.name(), largest.last.survey.sums, kCriterionSites));
  result.figures.back().caption =
      "The last checkpoint of the largest size: a channel that is large in every layer is a bright column.";
  result.facts.push_back("nothing here is a statement about models of billions of parameters");
}

}  // namespace loglog::studies
