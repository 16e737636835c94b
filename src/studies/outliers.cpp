// Outlier features (Dettmers et al. 2022, section 4, and the author's post on emergent features): what grows as the loss falls, what it is worth
// to the model, whether layers share it, and what in the recipe moves it.
//
// Judged is what has no scale: kurtosis and max/median (He et al. 2024). The paper's 6.0 in 25% of layers at 6% of positions is counted.
#include <fmt/format.h>

#include <algorithm>

#include "studies/outliers_page.hpp"
#include "studies/studies.hpp"

namespace loglog::studies {
namespace {

std::vector<Claim> claims_of(const Manifest& m) {
  return {
      {"C1", "outlier features grow as the loss falls, and not with size as such",
       fmt::format("kurtosis and max/median over at least {} checkpoints of several sizes: Spearman with the "
                   "loss at most {}, its magnitude above that with log N given the loss",
                   m("checkpoints_least"), m("loss_rank_most")),
       "smooth in C4 perplexity from 125M to 13B, not in size"},
      {"C2", "the model depends on a few channels",
       fmt::format("largest size: {} channels of largest RMS set to zero raise perplexity at least {} times "
                   "as much as "
                   "{} draws of as many others change it, and take at least {} times as much of the top "
                   "attention weight",
                   m("zeroed_dims"), m("perplexity_ratio_least"), m("random_draws"),
                   m("attention_ratio_least")),
       "perplexity +600 to +1000% against +0.1%; top attention 40% to 20% against -0.02 to 0.3 points"},
      {"C3", "layers share them",
       fmt::format("largest size: the {} channels of largest RMS of two layers have more in common than {} "
                   "permutations, than in {} untrained models, and than in {} random bases: what a stream "
                   "has in common of itself, no channels",
                   m("top"), m("permutations"), m("untrained_models"), m("rotations")),
       "after the phase shift all layers use the same dimensions"},
      {"C4", "the recipe moves them",
       fmt::format(
           "one change of optimizer, norm or learning rate moves kurtosis by a factor of at least {}; "
           "chosen by one seed, judged by the others",
           m("factor_ratio_least")),
       "He et al. 2024: preconditioning, norms and learning rate; no number of the source"},
      {"C5", fmt::format("dimensions by {} come as the loss falls", criterion_text(m)),
       fmt::format(
           "Spearman of their number with the loss at most {}; nothing is said of a phase shift at 6.7B",
           m("outlier_loss_rank_most")),
       "6B to 6.7B: 65 to 100% of layers, 35 to 75% of positions; at most 7 dimensions up to 13B"},
  };
}

std::vector<Allowed> allowed_of(const Manifest& m) {
  using enum Allowed::Kind;
  constexpr double kHalf =
      32;  // of the channels of the narrowest model of the sweeps: there are as many others
  constexpr double kMany = 1e6, kTokens = 1e9, kScale = 1 << 20, kInf = Measure::kInfinity;
  return {
      {"loss_rank_most", -1, 0},
      {"checkpoints_least", 1, kMany, whole},
      {"zeroed_dims", 1, kHalf, whole},
      {"random_draws", 1, 1e4, whole},
      {"perplexity_ratio_least", 1, kInf},
      {"perplexity_ratio_notable", 1, m("perplexity_ratio_least")},
      {"attention_ratio_least", 1, kInf},
      {"attention_ratio_notable", 1, m("attention_ratio_least")},
      {"rank_notable", 0, 1},
      {"rank_difference_notable", 0, 2},
      {"sharing_notable", 0, 1},
      {"factor_ratio_least", 1, kInf},
      {"factor_ratio_notable", 1, m("factor_ratio_least")},
      {"top", 1, kHalf, whole},
      {"permutations", 100, 1e8, whole},
      {"untrained_models", 1, 1e4, whole},
      {"magnitude", 1e-3, kMany},
      {"magnitude_lower", 1e-3, kMany},
      {"magnitude_lowest", 1e-3, kMany},
      {"magnitude_relative", 1e-3, kMany},
      {"outlier_loss_rank_most", -1, 0},
      {"planted_dims", 1, kHalf, whole},
      {"planted_scale", 1, kScale, power_of_two},
      {"rotations", 1, 1e4, whole},
      {"tokens", 256, kTokens, whole},
  };
}

// A planted channel carries as much of the function as before.
Control zeroed_control(const std::string& name, const PlantedOutliers& p) {
  const bool same = p.zeroed_loss == p.zeroed_loss_unplanted;
  return {fmt::format("{}: planted channels set to zero", name), false, same,
          same ? fmt::format("loss {:.4f}, the same to the last bit as without planting", p.zeroed_loss)
               : fmt::format("loss {:.6f}, without planting {:.6f}", p.zeroed_loss, p.zeroed_loss_unplanted)};
}

Control silent_control(std::string name, const NullCounts& n, const Manifest& m) {
  const auto [low, high] = std::ranges::minmax(n.kurtosis);
  return {std::move(name), false, n.outliers + n.relative == 0,
          fmt::format("{} dimensions at {:.1f}, {} at {:g} x median RMS; kurtosis {:.3g} to {:.3g}",
                      n.outliers, m("magnitude"), n.relative, m("magnitude_relative"), low, high)};
}

// Where the detector must find what was planted, and nothing: in one model of each size.
bool add_controls(const OutlierBench& bench, const OutlierFindings& found, std::vector<Control>& controls) {
  std::string size;
  for (std::size_t i = 0; i < found.ladder.size(); ++i) {
    const LadderRun& run = found.ladder[i];
    const TrainedModel& t = *run.trained;
    if (t.name == size) continue;
    size = t.name;
    const auto planted = plant_and_find(bench, t);
    if (!planted) return false;
    controls.push_back(
        planted_control(run.name(), planted->planted, run.last.survey.outliers(), planted->found));
    controls.back().text += fmt::format("; kurtosis {:.3g}", planted->kurtosis);
    controls.push_back(zeroed_control(run.name(), *planted));
    controls.push_back(silent_control(fmt::format("{}: activations in random bases", run.name()),
                                      found.rotated[i], bench.manifest));
  }
  controls.push_back(silent_control(fmt::format("{}: untrained models", found.largest().trained->name),
                                    found.untrained, bench.manifest));
  return true;
}

std::vector<Finding> findings_of(const OutlierFindings& found, const Manifest& manifest, std::uint64_t seed) {
  const std::vector<Claim> claims = claims_of(manifest);
  Finding zeroing, shared;
  zeroing.claim = claims[1], shared.claim = claims[2];
  for (const OutlierFindings::Zeroed& z : found.zeroed) {
    const LadderRun& run = found.ladder[z.run];
    ZeroingRatios ratios = zeroing_ratios(run.name(), eval::whole(run.last), z.zeroing, manifest, seed);
    zeroing.measures.push_back(std::move(ratios.perplexity));
    zeroing.measures.push_back(std::move(ratios.attention));
    for (Measure& m : sharing(run.name(), run.last.survey.overlap, found.untrained.overlap,
                              found.rotated[z.run].overlap, manifest))
      shared.measures.push_back(std::move(m));
  }
  return {emergence(claims[0], found.rungs(), manifest, seed), std::move(zeroing), std::move(shared),
          strongest_factor(claims[3], factor_effects(found.factors), manifest),
          emergence_by_criterion(claims[4], found.rungs(), manifest, seed)};
}

// Everything but training; false when a signal came.
bool measure(const OutlierBench& bench, const std::vector<TrainedModel>& ladder,
             const std::vector<TrainedModel>& factors, OutlierFindings& found) {
  for (const TrainedModel& t : ladder) {
    auto run = climb(bench, t);
    auto rotated = run ? survey_rotated(bench, t) : std::nullopt;
    if (!rotated) return false;
    found.ladder.push_back(std::move(*run));
    found.rotated.push_back(std::move(*rotated));
  }
  for (std::size_t i = 0; i < found.ladder.size(); ++i) {
    if (found.ladder[i].trained->name != found.largest().trained->name) continue;
    auto zeroing = zero_top(bench, found.ladder[i]);
    if (!zeroing) return false;
    found.zeroed.push_back({i, std::move(*zeroing)});
  }
  auto untrained = survey_untrained(bench, *found.largest().trained);
  auto surveyed = untrained ? survey_factors(bench, factors) : std::nullopt;
  if (!surveyed) return false;
  found.untrained = std::move(*untrained);
  found.factors = std::move(*surveyed);
  return true;
}

std::optional<Result> run(const Manifest& manifest, const Workplace& w) {
  const std::string effort(kEfforts[static_cast<int>(w.effort)]);
  OutlierFindings found;
  const auto ladder = trained_models(w, "outliers-ladder-" + effort);
  const auto factors =
      ladder ? trained_models(w, "outliers-factors-" + effort, &found.diverged) : std::nullopt;
  if (!factors) return std::nullopt;
  const eval::WindowedText text(w.data, ladder->front().model.config, "validation",
                                static_cast<std::uint64_t>(manifest("tokens")));
  const OutlierBench bench(manifest, w, text);
  Result result;
  if (!measure(bench, *ladder, *factors, found) || !add_controls(bench, found, result.controls))
    return std::nullopt;
  result.findings = findings_of(found, manifest, w.seed);
  result.facts = facts_of(text);
  for (const TrainedModel& t : *ladder) result.facts.push_back(t.fact());
  add_page(found, manifest, w.seed, result);
  return result;
}

}  // namespace

Study outliers_study() {
  return {"outliers",
          "Outlier features: what grows as the loss falls",
          "eight models of up to 0.8M parameters and twelve of 0.2M, 2M bytes each: about ten minutes",
          "twelve models of up to 2.7M parameters and twenty-four of 0.4M, 8M bytes each: an estimated hour "
          "and a half",
          claims_of,
          allowed_of,
          run};
}

}  // namespace loglog::studies
