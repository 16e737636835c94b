#include "quant/plant.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/rng.hpp"

namespace loglog::quant {
namespace {

using model::Gpt, model::ModelConfig, model::NamedParameter;

constexpr double kLargest = std::numeric_limits<float>::max();
// One-signed: how many standard deviations of z lie between 0 and the middle of a channel.
constexpr double kDeviations = 4;

// A norm and the one product that reads what it writes.
struct Branch {
  const NamedParameter* gain;       // (1, C)
  const NamedParameter* norm_bias;  // (1, C); null where there is none
  const NamedParameter* weight;     // (C, out)
  const NamedParameter* bias;       // (1, out); null where there is none
};

std::vector<Branch> branches_of(const Gpt& gpt, std::span<const Index> layers) {
  std::map<std::string_view, const NamedParameter*> by_name;
  for (const NamedParameter& p : gpt.parameters()) by_name[p.name] = &p;
  const auto find = [&](const std::string& name) {
    const auto found = by_name.find(name);
    return found == by_name.end() ? nullptr : found->second;
  };
  const ModelConfig& m = gpt.config();
  std::vector<Branch> branches;
  const auto add = [&](Index layer, std::string_view branch, std::string_view product) {
    const std::string place = fmt::format("blocks.{}.{}.", layer, branch);
    const std::string reader = fmt::format("{}{}.", place, product);
    branches.push_back({find(place + "norm.gain"), find(place + "norm.bias"), find(reader + "weight"),
                        find(reader + "bias")});
    LOGLOG_CHECK(branches.back().gain != nullptr && branches.back().weight != nullptr,
                 "{} has no gain or no weight in float32", place);
  };
  for (const Index layer : layers) {
    add(layer, "attention", "qkv");
    if (m.has_mlp()) add(layer, "mlp", m.is_gated() ? "gate_up" : "up");
  }
  return branches;
}

bool is_power_of_two(double x) {
  int exponent = 0;
  return std::frexp(x, &exponent) == 0.5;  // false for 0, below 0, infinity and NaN
}

void require_scale(double scale) {
  if (is_power_of_two(scale) && scale >= 1 && scale <= 0x1p127) return;
  throw UsageError(
      fmt::format("scale {:g} must be a power of two, from 1 to 2^127: any other factor rounds in float32, "
                  "and the output would change with it",
                  scale));
}

void require_norms(const ModelConfig& m, bool one_signed) {
  const std::string_view wish =
      one_signed ? "one-signed outliers need the bias of a norm, which models have that are trained "
                   "with model.norm = layernorm and model.bias = true; without --one-signed this one takes "
                   "outliers too"
                 : "";
  if (m.norm == "none") throw UsageError("model.norm is none: it has no gain that could be scaled");
  if (one_signed && m.norm != "layernorm")
    throw UsageError(fmt::format("model.norm is {}, which has no bias: {}", m.norm, wish));
  if (one_signed && !m.bias) throw UsageError(fmt::format("model.bias is false: {}", wish));
}

// Ascending, each once and in 0 .. count - 1.
void require_numbers(std::vector<Index>& numbers, std::string_view what, std::string_view key, Index count) {
  std::ranges::sort(numbers);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] < 0 || numbers[i] >= count)
      throw UsageError(fmt::format("there is no {} {}: {} is {}, they are 0 to {}", what, numbers[i], key,
                                   count, count - 1));
    if (i > 0 && numbers[i] == numbers[i - 1])
      throw UsageError(fmt::format("{} {} is named twice", what, numbers[i]));
  }
}

std::vector<Index> all_below(Index count) {
  std::vector<Index> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), Index{0});
  return numbers;
}

float& at(const NamedParameter& p, Index row, Index col) {
  return p.tensor.value[row * p.tensor.cols + col];
}

// Calls with (parameter, row, column, factor) for every element that is multiplied by a power of two.
using OnScaled = std::function<void(const NamedParameter&, Index, Index, double)>;
void for_each_scaled(const std::vector<Branch>& branches, const Planting& planting, double scale,
                     const OnScaled& visit) {
  for (const Branch& b : branches) {
    for (const Index j : planting.channels) {
      visit(*b.gain, 0, j, scale);
      if (b.norm_bias != nullptr && !planting.one_signed) visit(*b.norm_bias, 0, j, scale);
      for (Index n = 0; n < b.weight->tensor.cols; ++n) visit(*b.weight, j, n, 1 / scale);
    }
  }
}

void multiply(const NamedParameter& p, Index row, Index col, double factor) {
  at(p, row, col) = static_cast<float>(at(p, row, col) * factor);
}

// Before and after, so that neither the element nor a product with it is rounded as subnormal numbers are.
void require_exact(const NamedParameter& p, Index row, Index col, double factor) {
  const float before = at(p, row, col), after = static_cast<float>(before * factor);
  if (factor == 1 || before == 0 || (std::isnormal(before) && std::isnormal(after))) return;
  throw UsageError(
      fmt::format("{}[{},{}] is {:g} and would become {:g}: outside the normal numbers of float32 (2^-126 to "
                  "2^128) scaling rounds, and the output would change with it",
                  p.name, row, col, before, after));
}

double raised_bias(double gain, double bias, bool one_signed) {
  return one_signed ? std::max(bias, kDeviations * std::abs(gain)) : bias;
}

// What the norm writes: |z| <= sqrt(C), half of the largest number left for roundings of z.
void require_no_overflow(const Branch& b, const Planting& planting) {
  for (const Index j : planting.channels) {
    const double gain = at(*b.gain, 0, j);
    const double bias = b.norm_bias != nullptr ? at(*b.norm_bias, 0, j) : 0;
    const double most =
        planting.scale * (std::abs(gain) * std::sqrt(static_cast<double>(b.gain->tensor.cols)) +
                          std::abs(raised_bias(gain, bias, planting.one_signed)));
    if (most <= kLargest / 2) continue;
    throw UsageError(
        fmt::format("{}[0,{}] is {:g}: times {:g} the norm may write {:g}, more than float32 holds",
                    b.gain->name, j, gain, planting.scale, most));
  }
}

// One-signed: the norm's bias and the product's, as they will be. Sums are double, rounded once.
void add_one_signed_biases(std::vector<std::vector<float>>& biases, const Branch& b,
                           const Planting& planting) {
  const Index out = b.weight->tensor.cols;
  std::vector<float> norm_bias(b.norm_bias->tensor.value,
                               b.norm_bias->tensor.value + b.norm_bias->tensor.size());
  std::vector<double> sums(b.bias->tensor.value, b.bias->tensor.value + out);
  for (const Index j : planting.channels) {
    const double before = at(*b.norm_bias, 0, j), raised = raised_bias(at(*b.gain, 0, j), before, true);
    norm_bias[static_cast<std::size_t>(j)] = static_cast<float>(planting.scale * raised);
    for (Index n = 0; n < out; ++n)
      sums[static_cast<std::size_t>(n)] -= (raised - before) * at(*b.weight, j, n);
  }
  for (std::size_t n = 0; n < sums.size(); ++n) {
    if (std::abs(sums[n]) <= kLargest) continue;
    throw UsageError(
        fmt::format("{}[0,{}] would become {:g}, more than float32 holds", b.bias->name, n, sums[n]));
  }
  biases.push_back(std::move(norm_bias));
  biases.emplace_back(sums.begin(), sums.end());
}

// Those in `biases` take the place of the model's, and the other way round.
void swap_biases(std::vector<std::vector<float>>& biases,
                 const std::vector<const NamedParameter*>& parameters) {
  for (std::size_t i = 0; i < parameters.size(); ++i)
    std::swap_ranges(biases[i].begin(), biases[i].end(), parameters[i]->tensor.value);
}

}  // namespace

void resolve(Planting& planting, const ModelConfig& config) {
  require_scale(planting.scale);
  require_norms(config, planting.one_signed);
  if (planting.channels.empty()) throw UsageError("no channel is named");
  require_numbers(planting.channels, "channel", "model.width", config.width);
  if (planting.layers.empty()) planting.layers = all_below(config.layers);
  require_numbers(planting.layers, "layer", "model.layers", config.layers);
}

std::vector<double> least_rms(const Gpt& gpt, std::span<const Index> layers) {
  std::vector<double> least(static_cast<std::size_t>(gpt.config().width),
                            std::numeric_limits<double>::infinity());
  for (const Branch& b : branches_of(gpt, layers)) {
    for (Index j = 0; j < gpt.config().width; ++j) {
      const double bias = b.norm_bias != nullptr ? at(*b.norm_bias, 0, j) : 0;
      double& smallest = least[static_cast<std::size_t>(j)];
      smallest = std::min(smallest, std::hypot(at(*b.gain, 0, j), bias));
    }
  }
  return least;
}

std::vector<Index> choose_channels(const Gpt& gpt, Index count, std::span<const Index> layers,
                                   std::uint64_t seed) {
  constexpr std::uint64_t kStream = 0x706c616e74;  // nothing else draws from it
  const ModelConfig& m = gpt.config();
  require_norms(m, false);
  if (count < 1 || count > m.width)
    throw UsageError(
        fmt::format("{} channels: model.width is {}, from 1 to so many can be planted", count, m.width));
  std::vector<Index> every_layer(layers.begin(), layers.end());
  if (every_layer.empty()) every_layer = all_below(m.layers);
  require_numbers(every_layer, "layer", "model.layers", m.layers);
  const std::vector<double> least = least_rms(gpt, every_layer);
  std::vector<Index> order = all_below(m.width);
  std::ranges::stable_sort(order, std::greater(),
                           [&](Index j) { return least[static_cast<std::size_t>(j)]; });
  const Index half = kernels::ceil_div(m.width, Index{2}), candidates = count <= half ? half : m.width;
  const Permutation drawn(static_cast<std::uint64_t>(candidates), seed, kStream);
  std::vector<Index> channels;
  for (Index i = 0; i < count; ++i) channels.push_back(order[drawn(static_cast<std::uint64_t>(i))]);
  std::ranges::sort(channels);
  return channels;
}

std::vector<const NamedParameter*> changed_biases(const Gpt& gpt, std::span<const Index> layers) {
  std::vector<const NamedParameter*> biases;
  for (const Branch& b : branches_of(gpt, layers)) biases.insert(biases.end(), {b.norm_bias, b.bias});
  return biases;
}

std::string checksum_of(const Gpt& gpt) {
  Hasher hasher;
  for (const NamedParameter& p : gpt.parameters())
    hasher.update(std::as_bytes(std::span(p.tensor.value, static_cast<std::size_t>(p.tensor.size()))));
  return hasher.hex();
}

Planted plant(Gpt& gpt, Planting planting) {
  resolve(planting, gpt.config());
  const std::vector<Branch> branches = branches_of(gpt, planting.layers);
  Planted planted{planting, {}, checksum_of(gpt)};
  for_each_scaled(branches, planting, planting.scale, require_exact);
  for (const Branch& b : branches) require_no_overflow(b, planting);
  if (planting.one_signed) {
    for (const Branch& b : branches) add_one_signed_biases(planted.biases, b, planting);
    swap_biases(planted.biases, changed_biases(gpt, planting.layers));
  }
  for_each_scaled(branches, planting, planting.scale, multiply);
  gpt.values_changed();
  return planted;
}

bool undo(Gpt& gpt, const Planted& planted) {
  const Planting& planting = planted.planting;
  const std::vector<Branch> branches = branches_of(gpt, planting.layers);
  for_each_scaled(branches, planting, 1 / planting.scale, multiply);
  if (planting.one_signed) {
    std::vector<std::vector<float>> biases = planted.biases;
    swap_biases(biases, changed_biases(gpt, planting.layers));
  }
  gpt.values_changed();
  return checksum_of(gpt) == planted.checksum;
}

}  // namespace loglog::quant
