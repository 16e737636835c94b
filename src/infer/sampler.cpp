#include "infer/sampler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/rng.hpp"

namespace loglog::infer {
namespace {

using kernels::Token;

void require_finite(std::span<const float> logits) {
  LOGLOG_CHECK(!logits.empty(), "no logits");
  const auto bad = std::find_if(logits.begin(), logits.end(), [](float x) { return !std::isfinite(x); });
  if (bad == logits.end()) return;
  throw Error(Exit::diverged, fmt::format("the model's logit of token {} is {}: its training has diverged",
                                          bad - logits.begin(), *bad));
}

}  // namespace

Token most_probable(std::span<const float> logits) {
  require_finite(logits);
  return static_cast<Token>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

Sampler::Sampler(const Sampling& sampling) : sampling_(sampling) {
  const auto refuse = [](std::string_view option, double value, std::string_view allowed) {
    throw UsageError(fmt::format("{} is {:g}, must be {}", option, value, allowed));
  };
  if (!(sampling.temperature >= 0 && std::isfinite(sampling.temperature)))
    refuse("temperature", sampling.temperature, "0 or above");
  if (sampling.top_k < 0) refuse("top-k", static_cast<double>(sampling.top_k), "0 (all) or above");
  if (!(sampling.top_p > 0 && sampling.top_p <= 1)) refuse("top-p", sampling.top_p, "above 0 and at most 1");
}

std::span<const Sampler::Candidate> Sampler::candidates(std::span<const float> logits) {
  if (sampling_.temperature == 0) {
    candidates_.assign(1, {most_probable(logits), 1.0});
    return candidates_;
  }
  require_finite(logits);
  const double highest = *std::max_element(logits.begin(), logits.end());
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double weight = std::exp((double(logits[i]) - highest) / sampling_.temperature);
    candidates_.push_back({static_cast<Token>(i), weight});
  }
  const auto k = static_cast<std::size_t>(sampling_.top_k);
  if (k > 0 && k < logits.size()) rank(logits, k);
  double sum = 0;
  for (const Candidate& c : candidates_) sum += c.probability;
  for (Candidate& c : candidates_) c.probability /= sum;
  if (sampling_.top_p < 1) keep_nucleus(logits);
  return candidates_;
}

// The `count` most probable tokens, in order.
void Sampler::rank(std::span<const float> logits, std::size_t count) {
  rank_from(logits, 0, count);
  candidates_.resize(count);
}

void Sampler::keep_nucleus(std::span<const float> logits) {
  double sum = 0;
  std::size_t kept = 0;
  // Nuclei are small as a rule: what is ranked grows as needed.
  for (std::size_t ranked = 0; sum < sampling_.top_p && kept < candidates_.size(); ++kept) {
    if (kept == ranked) {
      constexpr std::size_t kFirst = 64;
      const std::size_t next = std::min(candidates_.size(), std::max(kFirst, 2 * ranked));
      rank_from(logits, ranked, next);
      ranked = next;
    }
    sum += candidates_[kept].probability;
  }
  candidates_.resize(kept);
  for (Candidate& c : candidates_) c.probability /= sum;
}

// Puts the most probable of the candidates from `first` on into the places up to `end`, in order.
void Sampler::rank_from(std::span<const float> logits, std::size_t first, std::size_t end) {
  const auto at = [&](std::size_t i) { return candidates_.begin() + static_cast<std::ptrdiff_t>(i); };
  std::partial_sort(at(first), at(end), candidates_.end(), [&](const Candidate& a, const Candidate& b) {
    const float x = logits[static_cast<std::size_t>(a.token)], y = logits[static_cast<std::size_t>(b.token)];
    return x != y ? x > y : a.token < b.token;
  });
}

Token Sampler::draw(std::span<const float> logits, std::uint64_t sequence, std::uint64_t index) {
  constexpr std::uint64_t kStream = std::uint64_t{0x647261777302} << 16;  // no other numbers come from it
  const std::span<const Candidate> from = candidates(logits);
  double left = Rng(sampling_.seed, kStream + sequence).uniform(index);
  Token last = from.front().token;  // that can be drawn
  for (const Candidate& c : from) {
    if (c.probability == 0) continue;
    last = c.token;
    left -= c.probability;
    if (left < 0) break;
  }
  return last;  // where rounding left a rest of the sum, the last one
}

}  // namespace loglog::infer
