#include "data/mixture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "base/check.hpp"
#include "base/error.hpp"

namespace loglog::data {
namespace {

constexpr int kDecimals = 6;  // of a weight

[[noreturn]] void reject_weight(std::string_view name, std::string_view weight) {
  throw UsageError(fmt::format(
      "data.mixture: weight '{}' of '{}' must be a number above 0 and below 1000000 with at most {} decimals",
      weight, name, kDecimals));
}

// "0.25" in millionths, exactly: shares must not hang on how a binary fraction rounds.
std::uint64_t parse_weight(std::string_view name, std::string_view text) {
  const std::size_t point = std::min(text.find('.'), text.size());
  const std::string_view whole = text.substr(0, point);
  const std::string_view decimals = point < text.size() ? text.substr(point + 1) : "";
  constexpr std::size_t kMostDigits = 6;
  const std::string digits = std::string(whole) + std::string(decimals);
  const bool is_number = !digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number || whole.size() > kMostDigits || decimals.size() > kDecimals) reject_weight(name, text);
  const std::uint64_t value = std::stoull(digits + std::string(kDecimals - decimals.size(), '0'));
  if (value == 0) reject_weight(name, text);
  return value;
}

}  // namespace

Mixture::Mixture(std::vector<std::uint64_t> weights) : weights_(std::move(weights)) {
  std::uint64_t common = 0;
  for (const std::uint64_t w : weights_) common = std::gcd(common, w);
  LOGLOG_CHECK(common > 0, "a mixture of {} sources without a weight", weights_.size());
  std::uint64_t slots = 0;
  for (std::uint64_t& w : weights_) slots += w /= common;
  if (slots > kMostSlots)
    throw UsageError(fmt::format(
        "data.mixture: the shares come out even only after {} windows, at most {} are allowed: round them",
        slots, kMostSlots));
  std::vector<std::uint64_t> given(weights_.size());
  for (std::uint64_t slot = 0; slot < slots; ++slot) {
    std::size_t best = weights_.size();
    std::uint64_t earliest = 0;
    for (std::size_t k = 0; k < weights_.size(); ++k) {
      if (weights_[k] == 0 || given[k] * slots / weights_[k] > slot) continue;  // not released yet
      const std::uint64_t deadline = ((given[k] + 1) * slots + weights_[k] - 1) / weights_[k];
      if (best == weights_.size() || deadline < earliest) best = k, earliest = deadline;
    }
    LOGLOG_CHECK(best < weights_.size(), "no source may fill slot {} of {}", slot, slots);
    period_.push_back({static_cast<std::uint32_t>(best), static_cast<std::uint32_t>(given[best]++)});
  }
}

Mixture Mixture::parse(std::string_view text, std::span<const Source> sources) {
  std::vector<std::string_view> names;
  for (const Source& source : sources) names.push_back(source.name);
  std::vector<std::uint64_t> weights(sources.size());
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const std::size_t equal = part.rfind('=');
    if (equal == std::string_view::npos)
      throw UsageError(fmt::format("data.mixture: '{}' must be name=weight", part));
    const std::string_view name = part.substr(0, equal);
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) throw_unknown_name("source of data.mixture", name, names);
    std::uint64_t& weight = weights[static_cast<std::size_t>(found - names.begin())];
    if (weight > 0) throw UsageError(fmt::format("data.mixture: '{}' comes twice", name));
    weight = parse_weight(name, part.substr(equal + 1));
  }
  return Mixture(std::move(weights));
}

Mixture::Place Mixture::at(std::uint64_t i) const noexcept {
  const Slot slot = period_[i % period_.size()];
  return {slot.source, i / period_.size() * weights_[slot.source] + slot.number};
}

double Mixture::share(std::size_t source) const noexcept {
  return static_cast<double>(weights_[source]) / static_cast<double>(period_.size());
}

}  // namespace loglog::data
