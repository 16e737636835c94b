// From what was measured on the models of the study `outliers` to the numbers that its claims are judged by.
#pragma once
#include "studies/outliers_arms.hpp"

namespace loglog::studies {

// Enough for 1% over five claims of up to six measures each (verdict.hpp): above 3,000.
inline constexpr std::uint64_t kOutlierResamples = 5000;

using Rungs = std::vector<std::vector<eval::OutlierRung>>;  // of each run

// One of the two scale-free measures.
struct ScaleFree {
  const char* name;
  double eval::OutlierRung::*value;
};
inline constexpr ScaleFree kScaleFree[] = {{"kurtosis", &eval::OutlierRung::kurtosis},
                                           {"max/median", &eval::OutlierRung::max_to_median}};

// Spearman's rank correlations over all rungs; samples: runs drawn with replacement, each with all of its rungs. NaN below three rungs,
// whose order says nothing.
struct Ranks {
  std::size_t runs =
      0;  // with rungs that are numbers; samples of a single one are all alike, and say nothing
  Measure with_loss, with_n, with_loss_given_n, with_n_given_loss;
  Measure difference;  // -(with the loss) - |with N given the loss|: a rise with the loss is no support
};
Ranks ranks_of(const Rungs& runs, double eval::OutlierRung::*measure, std::uint64_t seed,
               std::uint64_t resamples = kOutlierResamples);

// Both measures fall with the loss, and more than with the size at a given loss. What cannot be tested: fewer rungs than asked for.
Finding emergence(Claim claim, const Rungs& runs, const Manifest& manifest, std::uint64_t seed);

// What the chosen channels do over what as many random ones do: (rise of perplexity) / mean |change of it|, and the same of what is lost
// of the top attention weight. Samples: the text's clusters and the draws (of attention: the draws) drawn with replacement.
struct ZeroingRatios {
  Measure perplexity, attention;
};
ZeroingRatios zeroing_ratios(const std::string& model, const eval::Zeroed& whole,
                             const eval::Zeroing& zeroing, const Manifest& manifest, std::uint64_t seed);

// What layers have in common, less a permutation of it (samples: its draws), less that of an untrained model and less that of the same
// activations in a random basis (samples: by Student's t, for one more of these). Layers of one stream have directions in common in every
// basis; the claim is of channels.
std::vector<Measure> sharing(const std::string& model, const quant::ChannelOverlap& overlap,
                             const std::vector<double>& untrained, const std::vector<double>& rotated,
                             const Manifest& manifest);

// ln(kurtosis) of each variant less the base's, the mean over seeds; `sd` is that of one run around the mean of its variant, the same for
// all of them, of so many degrees of freedom.
struct FactorEffects {
  struct Effect {
    std::string variant;
    double by_first, by_others, mean;  // of the first seed, of the others, of all
  };
  double sd = 0, degrees = 0;
  std::size_t seeds = 0;  // of the base's
  std::vector<Effect> effects;
  // Half of the 95% interval of a mean over `count` seeds.
  double half_width(std::size_t count) const;
};
// At the base's seeds; variants that lack one of them are left out, seeds that the base lacks too. No effects and no seeds where the base has
// none: it diverged.
FactorEffects factor_effects(const std::vector<FactorRun>& runs);
// The variant that does most by the first seed, judged by the others: choosing does not flatter it.
Finding strongest_factor(Claim claim, const FactorEffects& effects, const Manifest& manifest);

// Whether dimensions by 6.0 / 25% / 6% come as the loss falls. What cannot be tested: no rung has one, or all have as many.
Finding emergence_by_criterion(Claim claim, const Rungs& runs, const Manifest& manifest, std::uint64_t seed);

}  // namespace loglog::studies
