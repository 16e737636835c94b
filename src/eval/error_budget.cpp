#include "eval/error_budget.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/error.hpp"

namespace loglog::eval {
namespace {

using quant::Index;
using quant::ModelPart;

std::vector<nn::Site> sites_of(const model::ModelConfig& config) {
  std::vector<nn::Site> sites(std::begin(quant::kLinearSites), std::end(quant::kLinearSites));
  if (!config.has_mlp())
    std::erase_if(sites, [](nn::Site site) { return site == nn::Site::up || site == nn::Site::down; });
  return sites;
}

Index inputs_of(const model::ModelConfig& config, nn::Site site) {
  return site == nn::Site::down ? config.hidden() : config.width;
}

// Passes of one model, numbered for people.
class Passes {
 public:
  Passes(const BudgetModel& model, std::uint64_t seed, std::size_t total)
      : model_(model), seed_(seed), total_(total) {}

  std::optional<ClusteredMean> run(const ModelPart& part, bool inside, quant::RoundingError error,
                                   std::string_view how, quant::ErrorPower* power = nullptr) {
    const quant::EmulatedWeights form(model_.weights, model_.config, {part, inside, error, seed_}, power);
    auto losses =
        model_.pass(form, fmt::format("{}/{} {} {}", ++done_, total_, quant::name_of(part), how), nullptr);
    if (!losses) return std::nullopt;
    return std::move(losses->clusters);
  }

 private:
  const BudgetModel& model_;
  std::uint64_t seed_;
  std::size_t total_, done_ = 0;
};

// What was lost with a part alone, beside its line.
struct Measured {
  BudgetLine line;
  ClusteredMean alone;
};

class Measurement {
 public:
  Measurement(const BudgetModel& model, const FormLosses& exact, std::uint64_t seed, std::size_t passes)
      : passes_(model, seed, passes), exact_(exact.clusters), seed_(seed) {}

  std::optional<Measured> part(const ModelPart& part) {
    constexpr bool kPart = true, kRest = false;
    Measured m;
    m.line.part = part;
    auto alone = passes_.run(part, kPart, quant::RoundingError::rounding, "alone", &m.line.power);
    if (!alone) return std::nullopt;
    m.line.alone = more(*alone);
    m.alone = std::move(*alone);
    const auto noise = passes_.run(part, kPart, quant::RoundingError::noise, "as noise");
    if (!noise) return std::nullopt;
    m.line.noise = more(*noise);
    if (part == ModelPart()) return m;
    const auto rest = passes_.run(part, kRest, quant::RoundingError::rounding, "left out");
    if (!rest) return std::nullopt;
    m.line.rest = more(*rest);
    return m;
  }

  std::optional<BudgetTable> table(const BudgetParts& parts) {
    BudgetTable table{parts.by, {}, {}};
    std::vector<ClusteredMean> alone;
    for (const ModelPart& of : parts.parts) {
      auto measured = part(of);
      if (!measured) return std::nullopt;
      table.lines.push_back(measured->line);
      alone.push_back(std::move(measured->alone));
    }
    if (!parts.is_partition) return table;
    std::vector<const ClusteredMean*> all;
    for (const ClusteredMean& losses : alone) all.push_back(&losses);
    table.sum = summed_difference(all, exact_, seed_);
    return table;
  }

 private:
  PairedDifference more(const ClusteredMean& losses) const {
    return paired_difference(losses, exact_, seed_);
  }

  Passes passes_;
  const ClusteredMean& exact_;
  std::uint64_t seed_;
};

// Of each dimension of a site, over all blocks.
std::vector<float> largest_inputs(const model::ModelConfig& config, const quant::Calibration& seen,
                                  nn::Site site) {
  std::vector<float> largest(static_cast<std::size_t>(inputs_of(config, site)));
  for (Index layer = 0; layer < config.layers; ++layer) {
    const std::span<const float> of_block = seen.largest(quant::weight_at(config, {site, layer}));
    for (std::size_t k = 0; k < of_block.size(); ++k) largest[k] = std::max(largest[k], of_block[k]);
  }
  return largest;
}

}  // namespace

BudgetParts parts_by_site(const model::ModelConfig& config) {
  BudgetParts result{"site", {}};
  for (const nn::Site site : sites_of(config))
    result.parts.push_back({.site = site, .layer = {}, .dimension = {}});
  return result;
}

BudgetParts parts_by_layer(const model::ModelConfig& config) {
  BudgetParts result{"layer", {}};
  for (Index layer = 0; layer < config.layers; ++layer)
    result.parts.push_back({.site = {}, .layer = layer, .dimension = {}});
  return result;
}

BudgetParts parts_by_dimension(const model::ModelConfig& config, const quant::Calibration& seen,
                               Index count) {
  BudgetParts result{"dimension", {}, false};
  for (const nn::Site site : sites_of(config)) {
    const std::vector<float> largest = largest_inputs(config, seen, site);
    std::vector<Index> order(largest.size());
    std::iota(order.begin(), order.end(), Index{0});
    std::ranges::stable_sort(order, std::greater(),
                             [&](Index k) { return largest[static_cast<std::size_t>(k)]; });
    order.resize(std::min(order.size(), static_cast<std::size_t>(count)));
    for (const Index k : order) result.parts.push_back({.site = site, .layer = {}, .dimension = k});
  }
  return result;
}

BudgetParts parts_by_dimension(const model::ModelConfig& config, const std::vector<Index>& dimensions) {
  BudgetParts result{"dimension", {}, false};
  const std::vector<nn::Site> sites = sites_of(config);
  for (const Index k : dimensions) {
    if (std::ranges::none_of(sites, [&](nn::Site site) { return k < inputs_of(config, site); }))
      throw UsageError(
          fmt::format("no input of this model has a dimension {}: its width is {}, its hidden width {}", k,
                      config.width, config.has_mlp() ? config.hidden() : 0));
  }
  for (const nn::Site site : sites)
    for (const Index k : dimensions)
      if (k < inputs_of(config, site)) result.parts.push_back({.site = site, .layer = {}, .dimension = k});
  return result;
}

std::optional<ExactLosses> exact_losses(const BudgetModel& model) {
  quant::Calibration inputs(model.weights.plan().scheme.threshold);
  quant::CalibrationProbe probe(model.config, inputs);
  const quant::EmulatedWeights none(model.weights, model.config, {.part = {}, .inside = false}, nullptr);
  auto losses = model.pass(none, "float32", &probe);
  if (!losses) return std::nullopt;
  return ExactLosses{std::move(*losses), std::move(inputs)};
}

std::optional<ErrorBudget> error_budget(const BudgetModel& model, const FormLosses& exact,
                                        const std::vector<BudgetParts>& parts, std::uint64_t seed) {
  std::size_t passes = 2;
  for (const BudgetParts& of : parts) passes += 3 * of.parts.size();
  Measurement measurement(model, exact, seed, passes);
  const auto everything = measurement.part({});
  if (!everything) return std::nullopt;
  ErrorBudget budget{everything->line, {}};
  for (const BudgetParts& of : parts) {
    auto table = measurement.table(of);
    if (!table) return std::nullopt;
    budget.tables.push_back(std::move(*table));
  }
  return budget;
}

}  // namespace loglog::eval
